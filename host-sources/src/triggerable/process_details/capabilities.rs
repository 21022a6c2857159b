//! The names of Linux's capabilities, by their bits (`linux/capability.h`).

/// By bit.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A set as its names; where most are in it, as those that aren't. A bit without a name is its number.
pub(super) fn names(set: Option<u64>) -> String {
    let Some(set) = set else {
        return "unknown".to_owned();
    };
    let listed = |wanted: bool| {
        let named = NAMES.iter().enumerate();
        let mut names: Vec<String> = named
            .filter(|(bit, _)| (set >> bit & 1 == 1) == wanted)
            .map(|(_, name)| (*name).to_owned())
            .collect();
        if wanted {
            let unnamed = (NAMES.len()..64).filter(|bit| set >> bit & 1 == 1);
            names.extend(unnamed.map(|bit| bit.to_string()));
        }
        names
    };
    match (listed(true), listed(false)) {
        (present, _) if present.is_empty() => "none".to_owned(),
        (_, absent) if absent.is_empty() => "all".to_owned(),
        (present, absent) if absent.len() < present.len() / 2 => {
            format!("all but {}", absent.join(", "))
        }
        (present, _) => present.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_told_the_shorter_way() {
        let check = |set, expected: &str| assert_eq!(names(set), expected);
        let all = (1 << NAMES.len()) - 1;
        check(None, "unknown");
        check(Some(0), "none");
        check(Some(1 << 12 | 1 << 13), "net_admin, net_raw");
        check(Some(all), "all");
        check(Some(all & !(1 << 21)), "all but sys_admin");
        check(Some(1 << 63 | 1), "chown, 63");
    }
}

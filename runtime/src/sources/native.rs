//! The sources that only Linux has, from their settings.
//!
//! It decides nothing: what a host doesn't allow the sources say themselves.

use std::sync::Arc;

use weir_sources::{
    EventSource, FilesystemMethod, FilesystemOptions, FilesystemSource, NetworkSource,
    ProcessSource, ScheduleOptions,
};

use super::SourceOpenReason;
use crate::config::{self, FilesystemSettings};

/// What happens to processes between two looks of that source.
pub(super) fn events(_name: &str, looks: &ProcessSource) -> Arc<dyn EventSource> {
    Arc::new(looks.events())
}

/// All sockets.
pub(super) fn network(name: &str, schedule: ScheduleOptions) -> Arc<dyn EventSource> {
    Arc::new(NetworkSource::default().scheduled(schedule).named(name))
}

/// What happens to files.
pub(super) fn filesystem(
    name: &str,
    settings: &FilesystemSettings,
) -> Result<Arc<dyn EventSource>, SourceOpenReason> {
    let source = FilesystemSource::new(FilesystemOptions {
        folders: settings.folders.clone(),
        include: settings.include.clone(),
        exclude: settings.exclude.clone(),
        merge_window: settings.merge_window,
        access: settings.access,
        method: match settings.method {
            config::FilesystemMethod::Best => FilesystemMethod::Best,
            config::FilesystemMethod::Inotify => FilesystemMethod::Inotify,
        },
    })?;
    Ok(Arc::new(source.named(name)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_sources::EventSource;

    use super::super::from_config;
    use crate::config::{Config, LoadRequest, load};
    use crate::sandbox::{BUILTIN_RULES, DEFAULT_CONFIG};

    fn config(text: &'static str) -> Config {
        let request = LoadRequest {
            embedded_default: text,
            ..LoadRequest::default()
        };
        load(&request).expect("a config").config
    }

    fn open(config: &Config) -> Vec<Arc<dyn EventSource>> {
        from_config(&config.sources, &config.redact).expect("sources")
    }

    fn names(text: &'static str) -> Vec<String> {
        let opened = open(&config(text));
        opened.iter().map(|one| one.name().to_owned()).collect()
    }

    #[test]
    fn a_process_source_comes_with_one_of_events_unless_it_shall_not() {
        let check = |text, expected: &[&str]| assert_eq!(names(text), expected, "{text}");
        check("sources.p.kind = \"process\"", &["p", "p-events"]);
        check("sources.p = { kind = \"process\", events = false }", &["p"]);
        check(
            "sources.n = { kind = \"network\", interval = \"off\" }\n\
             sources.f = { kind = \"filesystem\", folders = [\"/\"], exclude = [\"/proc\"] }\n\
             sources.h.kind = \"binary-hash\"",
            &["f", "n"],
        );
    }

    #[test]
    fn the_embedded_default_has_a_source_of_every_sort() {
        let request = LoadRequest {
            embedded_default: DEFAULT_CONFIG,
            embedded_rules: BUILTIN_RULES,
            ..LoadRequest::default()
        };
        let config = load(&request).expect("the default").config;
        let opened = open(&config);
        let names: Vec<&str> = opened.iter().map(|one| one.name()).collect();
        let expected = [
            "filesystem",
            "inventory",
            "network",
            "performance",
            "process",
            "process-events",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_interval_and_a_budget_are_those_of_the_config() {
        let check = |text, expected: Option<u64>| {
            let opened = open(&config(text));
            let schedule = opened[0].schedule().expect("a schedule");
            let interval = schedule.interval.map(|interval| interval.as_secs());
            assert_eq!((interval, schedule.cost_share), (expected, 0.5), "{text}");
        };
        for kind in ["network", "process", "performance", "inventory"] {
            let of = |interval: &str| -> &'static str {
                let text = format!(
                    "sources.x = {{ kind = \"{kind}\", interval = \"{interval}\", cost_share = 0.5 }}"
                );
                text.leak()
            };
            check(of("off"), None);
            check(of("7s"), Some(7));
        }
    }

    #[test]
    fn the_most_folders_and_patterns_of_the_keys_are_those_of_the_source() {
        use weir_sources::filesystem::{FOLDERS_MAX, PATTERNS_MAX};
        let list = |count: usize| -> &'static str {
            let items: Vec<String> = (0..count).map(|item| format!("\"/{item}\"")).collect();
            let [folders, patterns] =
                [FOLDERS_MAX, PATTERNS_MAX].map(|most| items[..count.min(most)].join(", "));
            let text = format!(
                "sources.f = {{ kind = \"filesystem\", folders = [{folders}], include = [{patterns}] }}"
            );
            text.leak()
        };
        assert_eq!(names(list(PATTERNS_MAX)), ["f"]);
        let more = format!(
            "sources.f = {{ kind = \"filesystem\", folders = [{}] }}",
            vec!["\"/x\""; FOLDERS_MAX + 1].join(", ")
        );
        let request = LoadRequest {
            embedded_default: more.leak(),
            ..LoadRequest::default()
        };
        assert!(load(&request).is_err());
    }
}

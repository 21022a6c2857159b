//! Who may publish and subscribe what: rules for users and groups, resolved for a peer when it connects.
//!
//! The daemon's own user, and root, may do everything: they can read its memory anyway.

use serde::Serialize;

use super::Peer;
use crate::topic::{Topic, TopicPattern};

/// Whom a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// One user.
    User(u32),
    /// All members of a group.
    Group(u32),
}

/// What some may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, for errors.
    pub name: String,
    /// For whom it is.
    pub who: Who,
    /// The topics that they may publish on.
    pub publish: Vec<TopicPattern>,
    /// The topics that they may read.
    pub subscribe: Vec<TopicPattern>,
}

/// The rule of the daemon's own user and of root.
const OWNER_RULE: &str = "owner";

/// The rule of the socket's group where the config has none.
const GROUP_RULE: &str = "socket-group";

/// What the socket's group may read where the config has no rules.
const GROUP_READS: [&str; 3] = ["events.>", "findings.>", "system.>"];

/// Every topic.
const EVERYTHING: &str = ">";

/// The rules of a broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    own_uid: Option<u32>,
    rules: Vec<Rule>,
}

/// A rule that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is no such user.
    #[error("there is no user `{0}` on this machine")]
    User(String),
    /// There is no such group.
    #[error("there is no group `{0}` on this machine")]
    Group(String),
}

impl Access {
    /// The rules of this process's user, and `rules`. Without rules the members of `group` may read
    /// events, findings and the system's topics.
    #[must_use]
    pub fn new(rules: Vec<Rule>, group: Option<u32>) -> Self {
        let mut rules = rules;
        if rules.is_empty()
            && let Some(group) = group
        {
            rules.push(Rule {
                name: GROUP_RULE.to_owned(),
                who: Who::Group(group),
                publish: Vec::new(),
                subscribe: patterns(&GROUP_READS),
            });
        }
        Self {
            own_uid: own_uid(),
            rules,
        }
    }

    /// What a peer may do; nothing where no rule is for it.
    pub(super) fn rights(&self, peer: &Peer) -> Rights {
        let is_owner = peer
            .uid
            .is_some_and(|uid| uid == 0 || Some(uid) == self.own_uid);
        if is_owner || (self.own_uid.is_none() && peer.uid.is_none()) {
            return Rights {
                owner: true,
                rules: vec![OWNER_RULE.to_owned()],
                publish: patterns(&[EVERYTHING]),
                subscribe: patterns(&[EVERYTHING]),
            };
        }
        let mut rights = Rights::default();
        for rule in &self.rules {
            let applies = match rule.who {
                Who::User(uid) => peer.uid == Some(uid),
                Who::Group(gid) => peer.groups.contains(&gid),
            };
            if applies {
                rights.rules.push(rule.name.clone());
                rights.publish.extend(rule.publish.iter().cloned());
                rights.subscribe.extend(rule.subscribe.iter().cloned());
            }
        }
        rights
    }
}

fn patterns(texts: &[&str]) -> Vec<TopicPattern> {
    let parsed = texts.iter().map(|text| TopicPattern::parse(text));
    parsed.filter_map(Result::ok).collect()
}

#[cfg(unix)]
fn own_uid() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn own_uid() -> Option<u32> {
    None
}

/// The number of a user, by name or by number.
///
/// # Errors
/// If there is none of that name.
#[cfg(unix)]
pub fn user_id(name: &str) -> Result<u32, AccessError> {
    if let Ok(uid) = name.parse() {
        return Ok(uid);
    }
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => Err(AccessError::User(name.to_owned())),
    }
}

/// The number of a group, by name or by number.
///
/// # Errors
/// If there is none of that name.
#[cfg(unix)]
pub fn group_id(name: &str) -> Result<u32, AccessError> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(AccessError::Group(name.to_owned())),
    }
}

/// What one peer may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rights {
    owner: bool,
    rules: Vec<String>,
    publish: Vec<TopicPattern>,
    subscribe: Vec<TopicPattern>,
}

/// What the rules don't allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {allowed}; ask for a rule in `bus.access`")]
pub struct Denied {
    /// What was asked.
    what: String,
    /// What would be allowed.
    allowed: String,
    /// The rules that were asked, or `none`.
    pub rule: String,
}

impl Rights {
    /// Whether any rule is for the peer.
    pub(super) fn is_any(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether it may do everything.
    pub(super) fn is_owner(&self) -> bool {
        self.owner
    }

    /// The names of the rules that are for the peer.
    pub(super) fn rules(&self) -> &[String] {
        &self.rules
    }

    fn rule(&self) -> String {
        if self.rules.is_empty() {
            "none".to_owned()
        } else {
            self.rules.join(", ")
        }
    }

    fn denied(&self, what: String, verb: &str, allowed: &[TopicPattern]) -> Denied {
        let rule = self.rule();
        let allowed = if allowed.is_empty() {
            "nothing".to_owned()
        } else {
            let texts: Vec<_> = allowed
                .iter()
                .map(|pattern| format!("`{pattern}`"))
                .collect();
            texts.join(", ")
        };
        Denied {
            what,
            allowed: format!("rule `{rule}` allows to {verb} {allowed}"),
            rule,
        }
    }

    /// Whether the peer may publish on a topic.
    ///
    /// # Errors
    /// If it may not.
    pub(super) fn check_publish(&self, topic: &Topic) -> Result<(), Denied> {
        if self.publish.iter().any(|pattern| pattern.matches(topic)) {
            return Ok(());
        }
        let what = format!("publishing on `{topic}` is not allowed");
        Err(self.denied(what, "publish on", &self.publish))
    }

    /// The patterns that select what was asked for and what the peer may read, both.
    ///
    /// # Errors
    /// If there is nothing of the kind.
    pub(super) fn narrow(&self, asked: &[TopicPattern]) -> Result<Vec<TopicPattern>, Denied> {
        let mut narrowed: Vec<TopicPattern> = Vec::new();
        for pattern in asked {
            for allowed in &self.subscribe {
                if let Some(both) = pattern.intersection(allowed)
                    && !narrowed.contains(&both)
                {
                    narrowed.push(both);
                }
            }
        }
        if narrowed.is_empty() {
            let asked: Vec<_> = asked.iter().map(|pattern| format!("`{pattern}`")).collect();
            let what = format!("reading {} is not allowed", asked.join(", "));
            return Err(self.denied(what, "read", &self.subscribe));
        }
        Ok(narrowed)
    }
}

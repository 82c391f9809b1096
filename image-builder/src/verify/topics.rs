//! What is asked inside, topic by topic: each knows its command and how to judge the answer. Pure.

mod accounts;
mod files;
mod health;
mod identity;
mod network;
mod own;
mod packages;
mod services;
mod settings;
mod storage;

use std::collections::BTreeMap;

use super::answer::Answer;
use super::check::{Check, Stage};
use super::expected::Expected;

/// Which boot of the same disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boot {
    /// The first one.
    First,
    /// The one after a clean power-off.
    Second,
}

impl Boot {
    pub(super) fn number(self) -> u32 {
        match self {
            Boot::First => 1,
            Boot::Second => 2,
        }
    }
}

/// A command for the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Names the answer.
    pub id: String,
    /// How long it may take.
    pub seconds: u32,
    /// For `sh -c`, as root.
    pub command: String,
}

/// The answers of one boot by question.
pub(super) type Answers = BTreeMap<String, Answer>;

/// A topic: its name, whether the second boot is asked too, the command, the verdict.
struct Topic {
    id: &'static str,
    again: bool,
    seconds: u32,
    ask: fn(&Expected) -> Option<String>,
    judge: fn(&Expected, &Answer) -> Vec<Check>,
}

/// `health` is first: it waits until the machine has started.
const TOPICS: [Topic; 9] = [
    Topic { id: "health", again: true, seconds: 900, ask: health::ask, judge: health::judge },
    Topic { id: "identity", again: true, seconds: 60, ask: identity::ask, judge: identity::judge },
    Topic { id: "storage", again: true, seconds: 60, ask: storage::ask, judge: storage::judge },
    Topic { id: "accounts", again: false, seconds: 120, ask: accounts::ask, judge: accounts::judge },
    Topic { id: "services", again: true, seconds: 60, ask: services::ask, judge: services::judge },
    Topic { id: "files", again: false, seconds: 120, ask: files::ask, judge: files::judge },
    Topic { id: "settings", again: false, seconds: 120, ask: settings::ask, judge: settings::judge },
    Topic { id: "network", again: false, seconds: 120, ask: network::ask, judge: network::judge },
    Topic { id: "packages", again: false, seconds: 120, ask: packages::ask, judge: packages::judge },
];

/// All that is asked at a boot, in order.
pub(super) fn questions(expected: &Expected, boot: Boot) -> Vec<Question> {
    let topics = TOPICS.iter().filter(|t| boot == Boot::First || t.again);
    let asked = topics.filter_map(|topic| {
        Some(Question { id: topic.id.into(), seconds: topic.seconds, command: (topic.ask)(expected)? })
    });
    let own = if boot == Boot::First { own::questions(expected) } else { Vec::new() };
    asked.chain(own).collect()
}

/// The verdict on a boot's answers.
pub(super) fn judge(expected: &Expected, answers: &Answers, boot: Boot) -> Vec<Check> {
    let mut checks = Vec::new();
    for topic in TOPICS.iter().filter(|t| answers.contains_key(t.id) && (boot == Boot::First || t.again)) {
        checks.extend((topic.judge)(expected, &answers[topic.id]));
    }
    if boot == Boot::First {
        checks.extend(own::judge(expected, answers));
    } else {
        for check in &mut checks {
            check.name = format!("second boot: {}", check.name);
        }
    }
    checks
}

/// What must be the same at the second boot, and what another disk changes then.
pub(super) fn judge_both(first: &Answers, second: &Answers, another_disk: bool) -> Vec<Check> {
    let both = |id: &str| first.get(id).zip(second.get(id));
    let mut checks = both("health").map(|(first, second)| health::judge_both(first, second)).unwrap_or_default();
    if another_disk {
        checks.extend(both("storage").map(|(first, second)| storage::judge_order(first, second)));
    }
    checks
}

/// How long the stages of a boot took, as the machine counted them.
pub(super) fn stages(answers: &Answers, boot: Boot) -> Vec<Stage> {
    answers.get("health").map(|answer| health::stages(answer, boot.number())).unwrap_or_default()
}

//! The list of generations, in words.

use cairn_layout::human;
use cairn_observe::generations::{Changes, Row};
use cairn_observe::time;

use crate::table::table;

/// How many settings are named in a line.
const NAMED: usize = 3;

/// A table of them.
pub fn list(generations: &[Row]) -> String {
    let dash = || "-".to_string();
    let rows: Vec<Vec<String>> = generations
        .iter()
        .map(|g| {
            vec![
                g.number.to_string(),
                g.date.map_or_else(dash, time::minute),
                g.kernel.clone().unwrap_or_else(dash),
                g.own_size.map_or_else(dash, human),
                g.changes.as_ref().map_or_else(dash, changes),
                marks(g),
            ]
        })
        .collect();
    table(&[">#", "date (UTC)", "kernel", ">own size", "changed", ""], &rows)
}

/// `packages +1 -2 ~3; hostname, services.enable`.
fn changes(changes: &Changes) -> String {
    if changes.same_system {
        return "the same system".into();
    }
    let mut parts = Vec::new();
    if let Some(packages) = changes.packages.filter(|p| p.added + p.removed + p.changed > 0) {
        let counts = [('+', packages.added), ('-', packages.removed), ('~', packages.changed)];
        let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(sign, n)| format!("{sign}{n}"));
        parts.push(format!("packages {}", counts.collect::<Vec<_>>().join(" ")));
    }
    if let Some(settings) = changes.settings.as_ref().filter(|s| !s.is_empty()) {
        let mut text = settings.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if settings.len() > NAMED {
            text += &format!(" and {} more", settings.len() - NAMED);
        }
        parts.push(text);
    }
    if parts.is_empty() { "-".into() } else { parts.join("; ") }
}

fn marks(g: &Row) -> String {
    let mut marks: Vec<String> = Vec::new();
    let mut mark = |is: bool, text: &str| {
        if is {
            marks.push(text.to_string());
        }
    };
    mark(g.booted, "booted");
    mark(g.default, "default");
    mark(g.last_good, "last good");
    mark(g.good && !g.last_good, "good");
    mark(g.trial, "tried next");
    mark(g.failed, "failed");
    mark(g.in_menu == Some(false), "not in the menu");
    if g.in_menu == Some(true) {
        marks.push(match g.tries_left {
            None => "in the menu".into(),
            Some(1) => "in the menu, 1 try left".into(),
            Some(n) => format!("in the menu, {n} tries left"),
        });
    }
    marks.extend(g.problem.iter().map(|problem| problem.to_uppercase()));
    marks.join(", ")
}

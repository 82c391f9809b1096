//! The difference of two generations, in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cairn_layout::human;
use cairn_observe::diff::{Diff, Side};
use cairn_observe::etc::{FileChange, Kinds};
use cairn_observe::packages::Change;
use cairn_observe::settings::Setting;
use cairn_process::text::{one_line, plain};
use serde_json::Value;

/// Values that are longer are cut off; `--json` has them whole.
const MOST_VALUE: usize = 60;

/// All of it.
pub fn text(diff: &Diff) -> String {
    let mut text = String::new();
    let Diff { from, to, .. } = diff;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "generation {} -> {}", from.generation, to.generation);
    for side in [from, to] {
        if let Some(problem) = &side.problem {
            let _ = writeln!(text, "generation {}: {}", side.generation, one_line(problem));
        }
    }
    if from.system == to.system {
        let _ = writeln!(text, "both are {}", to.system);
        return text;
    }
    let dash = || "-".to_string();
    if from.kernel != to.kernel {
        let name = |side: &Side| one_line(side.kernel.as_deref().unwrap_or("-")).into_owned();
        let _ = writeln!(text, "\nkernel: {} -> {}", name(from), name(to));
    }
    words("kernel parameters", &from.kernel_parameters, &to.kernel_parameters, &mut text);
    if diff.initrd_changed && from.kernel == to.kernel {
        text.push_str("\nthe initrd is another\n");
    }
    packages(diff.packages.as_deref(), &mut text);
    settings(diff.settings.as_deref(), &mut text);
    files(diff.etc.as_deref(), &mut text);
    let size = |n: Option<u64>| n.map_or_else(dash, human);
    let _ = writeln!(
        text,
        "\nsize: {} -> {} (only in {}: {}, only in {}: {})",
        size(from.closure_size),
        size(to.closure_size),
        from.generation,
        size(from.only_here),
        to.generation,
        size(to.only_here)
    );
    text
}

/// Words that only one side has.
fn words(what: &str, old: &[String], new: &[String], text: &mut String) {
    // As sets: there may be any number of them.
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    let gone = old.iter().filter(|w| !after.contains(w)).map(|w| format!("-{w}"));
    let added = new.iter().filter(|w| !before.contains(w)).map(|w| format!("+{w}"));
    let all: Vec<String> = gone.chain(added).collect();
    if !all.is_empty() {
        let _ = writeln!(text, "\n{what}: {}", one_line(&all.join(" ")));
    }
}

fn packages(changes: Option<&[Change]>, text: &mut String) {
    let Some(changes) = changes else {
        text.push_str("\npackages: unknown\n");
        return;
    };
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(text, "\npackages:");
    for Change { name, from, to } in changes {
        let line = match (from, to) {
            (Some(from), Some(to)) => format!("~ {name} {from} -> {to}"),
            (Some(from), None) => format!("- {name} {from}"),
            (_, to) => format!("+ {name} {}", to.as_deref().unwrap_or_default()),
        };
        let _ = writeln!(text, "  {}", one_line(&line));
    }
}

fn settings(changes: Option<&[Setting]>, text: &mut String) {
    let Some(changes) = changes else {
        text.push_str("\nsettings: unknown\n");
        return;
    };
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nsettings:");
    for Setting { key, from, to } in changes {
        let line = match (from, to) {
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                let texts = |values: &[Value]| values.iter().map(Value::to_string).collect::<BTreeSet<String>>();
                let (before, after) = (texts(old), texts(new));
                let gone = old.iter().filter(|v| !after.contains(&v.to_string())).map(|v| format!("-{}", short(v)));
                let added = new.iter().filter(|v| !before.contains(&v.to_string())).map(|v| format!("+{}", short(v)));
                let all: Vec<String> = gone.chain(added).collect();
                let all = if all.is_empty() { "another order".into() } else { all.join(" ") };
                format!("~ {key}: {all}")
            }
            (Some(from), Some(to)) => format!("~ {key}: {} -> {}", short(from), short(to)),
            (Some(from), None) => format!("- {key}: {}", short(from)),
            (_, to) => format!("+ {key}: {}", to.as_ref().map(short).unwrap_or_default()),
        };
        let _ = writeln!(text, "  {}", one_line(&line));
    }
}

/// A value on a line.
fn short(value: &Value) -> String {
    let whole = match value {
        Value::String(text) if !text.is_empty() && !text.contains(['\n', '"']) => text.clone(),
        other => other.to_string(),
    };
    if whole.chars().count() <= MOST_VALUE {
        return whole;
    }
    whole.chars().take(MOST_VALUE).collect::<String>() + "..."
}

fn files(changes: Option<&[FileChange]>, text: &mut String) {
    let Some(changes) = changes else {
        text.push_str("\nfiles of /etc: unknown\n");
        return;
    };
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nfiles:");
    for FileChange { path, change, diff } in changes {
        let sign = match change {
            Kinds::Added => '+',
            Kinds::Removed => '-',
            Kinds::Changed => '~',
        };
        let _ = writeln!(text, "  {sign} {}", one_line(path));
        for line in diff.iter().flat_map(|d| d.lines()) {
            let _ = writeln!(text, "      {}", plain(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_short_and_whole_where_they_can_be() {
        assert_eq!(short(&json!("web")), "web");
        assert_eq!(short(&json!("a\nb")), "\"a\\nb\"");
        assert_eq!(short(&json!({"a": 1})), "{\"a\":1}");
        assert_eq!(short(&json!("x".repeat(100))).len(), MOST_VALUE + 3);
    }

    #[test]
    fn a_list_is_told_by_what_comes_and_goes() {
        let mut text = String::new();
        let setting = Setting { key: "k".into(), from: Some(json!(["a", "b"])), to: Some(json!(["b", "c"])) };
        settings(Some(&[setting]), &mut text);
        assert_eq!(text, "\nsettings:\n  ~ k: -a +c\n");
    }
}

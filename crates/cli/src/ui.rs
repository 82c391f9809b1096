//! What the command says and where: data to standard output, talk to standard error. Whatever it says goes through here, and no
//! character of a stranger's gives orders to the terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use cairn_machine::{Problem, Problems};
use cairn_process::Report;
use cairn_process::text::{is_deceptive, one_line, plain};
use serde_json::{Value, json};

use crate::exit::OutputError;
use crate::progress::{Bars, Events, Lines, Plain, Silent};

/// How this run talks.
pub struct Ui {
    progress: Box<dyn Report>,
    json: bool,
}

impl Ui {
    /// `events`: the progress itself is the data, as JSON lines on standard output. `json`: the answer is JSON.
    pub fn new(quiet: bool, json: bool, events: bool) -> Ui {
        let progress: Box<dyn Report> = if events {
            Box::new(Events::default())
        } else if quiet {
            Box::new(Silent)
        } else if io::stderr().is_terminal() {
            Box::new(Plain(Bars::default()))
        } else {
            Box::new(Plain(Lines::default()))
        };
        Ui { progress, json: json || events }
    }

    /// Where long work tells how far it is.
    pub fn report(&self) -> &dyn Report {
        &*self.progress
    }

    /// Whether the answer is JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Prints a line of data.
    pub fn line(&self, text: impl Display) -> anyhow::Result<()> {
        self.print(format_args!("{text}\n"))
    }

    /// Prints data that ends its lines itself.
    pub fn text(&self, text: impl Display) -> anyhow::Result<()> {
        self.print(format_args!("{text}"))
    }

    /// Tells what is allowed and probably not meant.
    pub fn warn(&self, warnings: &[Problem]) {
        let (shown, left_out) = Problems::worth_showing(warnings);
        for Problem { file, line, column, message, help } in shown {
            let file = one_line(file);
            let help = help.as_ref().map(|h| format!("\n  help: {h}")).unwrap_or_default();
            self.progress.note(&format!("{file}:{line}:{column}: warning: {message}{help}"));
        }
        if left_out > 0 {
            self.progress.note(&format!("and {left_out} more warnings"));
        }
    }

    /// Prints one JSON object, indented.
    pub fn object(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value).context("writing the answer as JSON")?;
        self.line(escaped(text))
    }

    /// Prints one JSON event on a line of its own.
    pub fn event(&self, name: &str, fields: Value) -> anyhow::Result<()> {
        self.line(event(name, fields))
    }

    fn print(&self, text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        self.progress.finish();
        let text = text.to_string();
        let mut out = io::stdout().lock();
        out.write_all(plain(&text).as_bytes()).and_then(|()| out.flush()).map_err(|e| OutputError(e).into())
    }
}

/// One event as a line: `event` first, then its fields.
pub fn event(name: &str, fields: Value) -> String {
    let mut object = serde_json::Map::new();
    object.insert("event".into(), json!(name));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    escaped(Value::Object(object).to_string())
}

/// JSON as a terminal may see it: the format asks for escapes of the first 32 characters only.
fn escaped(json: String) -> String {
    if !json.chars().any(|c| is_deceptive(c) && c != '\n') {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_deceptive(c) && c != '\n' {
            // Outside of strings JSON has no such characters, so this is inside of one.
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Says a line on standard error. One that is gone is no reason to stop the work.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain(text));
}

/// A problem of a machine file, as a line of its own: whatever the file is called.
pub fn problem_text(problem: &Problem) -> String {
    let Problem { file, line, column, message, help } = problem;
    let help = help.as_ref().map(|h| format!("\n  help: {h}")).unwrap_or_default();
    format!("{}:{line}:{column}: {message}{help}", one_line(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        let value = json!({ "a\u{202e}": "\u{7f}\u{9b}31m\u{2028}\u{e0041}ä\n", "b": 1 });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = escaped(text);
            assert!(!escaped.chars().any(|c| is_deceptive(c) && c != '\n'), "{escaped:?}");
            assert!(escaped.contains("\\u202e") && escaped.contains('ä'), "{escaped}");
            assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
        }
    }
}

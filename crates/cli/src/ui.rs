//! What the command says and where: data to standard output, talk to standard error. Whatever it says goes through here, and no
//! character of a stranger's gives orders to the terminal.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use cairn_machine::{Problem, Problems};
use cairn_process::text::{one_line, plain};
use cairn_process::{Quiet, Report};
use serde_json::Value;

use crate::exit::OutputError;
use crate::progress::{Bars, Events, Lines, Plain};
use crate::terminal::{INTERRUPT, escaped, event};

/// How this run talks.
pub struct Ui {
    progress: Box<dyn Report>,
    json: bool,
}

impl Ui {
    /// `events`: the progress itself is the data, as JSON lines on standard output. `json`: the answer is JSON. `plain`: nothing that is
    /// on the terminal is drawn anew.
    pub fn new(quiet: bool, json: bool, events: bool, plain: bool) -> Ui {
        let progress: Box<dyn Report> = if events {
            Box::new(Events::default())
        } else if quiet {
            Box::new(Quiet)
        } else if io::stderr().is_terminal() && !plain {
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

    /// Says something that belongs to the conversation and not to the data; it ends its lines itself.
    pub fn talk(&self, text: impl Display) {
        self.progress.finish();
        // Where the terminal is gone nobody reads it; that is no reason to fail.
        let _ = io::stderr().write_all(plain(&text.to_string()).as_bytes());
    }

    /// Whether somebody is at the terminal.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks somebody at the terminal; `None` where nobody is there.
    pub fn ask(&self, question: impl Display) -> anyhow::Result<Option<String>> {
        if !self.can_ask() {
            return Ok(None);
        }
        self.talk(question);
        let line = line(&mut io::stdin().lock()).context("reading from the terminal")?;
        // A key of another encoding is a wrong answer, and no end of the conversation.
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
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

/// A line with what ends it: that, or Ctrl-C where it is no signal ([`Reading`](crate::terminal::Reading)).
fn line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let part = input.fill_buf()?;
        let end = part.iter().position(|byte| *byte == b'\n' || *byte == INTERRUPT as u8);
        let taken = end.map_or(part.len(), |end| end + 1);
        line.extend_from_slice(&part[..taken]);
        input.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_enter_ctrl_c_or_the_terminal() {
        let mut typed = io::BufReader::with_capacity(2, &b"anna\nsec\x03more\n\nend"[..]);
        for expected in ["anna\n", "sec\u{3}", "more\n", "\n", "end", ""] {
            assert_eq!(line(&mut typed).unwrap(), expected.as_bytes());
        }
    }
}

//! Asking in plain lines that are numbered, without moving the cursor, so that a serial line, a screen reader and a log have all of it.

use anyhow::Context;
use cairn_installer::questions::{Asks, Choice};
use cairn_process::text::one_line;

use super::manner::{Manner, STOP, Said, nobody, stopped};
use crate::terminal::{INTERRUPT, Reading};
use crate::ui::Ui;

/// So many choices are listed; of more, letters find one.
const LISTED: usize = 12;
/// A drawing's width where the terminal does not say its own.
const COLUMNS: usize = 80;

/// Lines.
pub struct Linear<'u> {
    ui: &'u Ui,
}

impl<'u> Linear<'u> {
    /// At this terminal.
    pub fn new(ui: &'u Ui) -> Linear<'u> {
        Linear { ui }
    }
}

impl Linear<'_> {
    /// A line; `None` after Ctrl-C.
    fn line(&self, prompt: &str, shown: bool) -> anyhow::Result<Option<String>> {
        let reading = Reading::begin(shown).context("reading from the terminal")?;
        let line = self.ui.ask(prompt)?.unwrap_or_default();
        drop(reading);
        if !shown || line.ends_with(INTERRUPT) {
            self.ui.talk("\n");
        }
        if line.ends_with(INTERRUPT) {
            return Ok(None);
        }
        line.strip_suffix('\n').map(|text| Some(text.to_string())).ok_or_else(nobody)
    }

    /// After Ctrl-C.
    fn goes_on(&self) -> anyhow::Result<()> {
        loop {
            let Some(said) = self.line(&format!("{STOP} (yes or no) [no] > "), true)? else { return Err(stopped()) };
            match said.trim().to_lowercase().as_str() {
                "" | "n" | "no" | "<" => return Ok(()),
                "y" | "yes" => return Err(stopped()),
                _ => {}
            }
        }
    }
}

impl Manner for Linear<'_> {
    fn introduction(&self) -> &'static str {
        "Enter takes what is in brackets, < goes back, ? explains, Ctrl-C asks whether to stop.\n"
    }

    fn open(&self, title: &str, asks: &Asks) {
        self.ui.talk(format_args!("{title}\n{}", listed(asks)));
    }

    fn said(&self, asks: &Asks, prompt: &str) -> anyhow::Result<Said> {
        let prompt = format!("{prompt}{}> ", default(asks));
        loop {
            let Some(text) = self.line(&prompt, *asks != Asks::Secret)? else {
                self.goes_on()?;
                continue;
            };
            return Ok(match text.trim() {
                "<" => Said::Back,
                "?" => Said::Help,
                _ => Said::Answer(text),
            });
        }
    }

    fn tell(&self, text: &str) -> anyhow::Result<()> {
        self.ui.talk(text);
        Ok(())
    }

    fn columns(&self) -> usize {
        crate::terminal::columns().unwrap_or(COLUMNS)
    }
}

fn listed(asks: &Asks) -> String {
    match asks {
        Asks::One { of, .. } if of.len() <= LISTED => {
            let line = |(index, one): (usize, &Choice)| format!("{:>4}  {}\n", index + 1, one_line(&one.shown));
            of.iter().enumerate().map(line).collect()
        }
        Asks::One { of, .. } => format!("      {} to choose from: letters of a name find it\n", of.len()),
        Asks::Text { .. } | Asks::Secret => String::new(),
    }
}

/// The default in brackets.
fn default(asks: &Asks) -> String {
    let default = match asks {
        Asks::One { of, default, .. } => {
            of.get(*default).map(|one| if of.len() <= LISTED { format!("{}", default + 1) } else { one.shown.clone() })
        }
        Asks::Text { default, .. } if !default.is_empty() => Some(default.clone()),
        Asks::Text { optional: true, .. } => Some("none".into()),
        Asks::Text { .. } | Asks::Secret => None,
    };
    default.map_or_else(String::new, |default| format!("[{}] ", one_line(&default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_choices_are_listed_and_many_are_found() {
        let choices = |count: usize| {
            (1..=count).map(|n| Choice { value: format!("{n}"), shown: format!("number {n}") }).collect()
        };
        let few = Asks::One { of: choices(2), default: 1, others: false };
        assert_eq!((listed(&few).as_str(), default(&few).as_str()), ("   1  number 1\n   2  number 2\n", "[2] "));
        let many = Asks::One { of: choices(400), default: 1, others: true };
        assert_eq!(listed(&many), "      400 to choose from: letters of a name find it\n");
        assert_eq!(default(&many), "[number 2] ");
        let text = |value: &str, optional| default(&Asks::Text { default: value.into(), optional });
        assert_eq!(
            (text("cairn", false), text("", true), text("", false)),
            ("[cairn] ".into(), "[none] ".into(), String::new())
        );
    }
}

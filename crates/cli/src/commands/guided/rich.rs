//! Asking on a screen: lists in which arrows and letters choose, lines that scroll.

use cairn_installer::questions::{Asks, Choice};

use super::manner::{Manner, STOP, Said, nobody, stopped};
use crate::fit::wrapped;
use crate::screen::{Pressed, Screen};
use crate::ui::Ui;

/// The lines at the top of a list, which are no choices.
const BACK: &str = "<  back";
const HELP: &str = "?  what this is about";
/// The one at its end, where anything will do.
const OTHER: &str = "another, which I type";

/// A screen.
pub struct Rich<'u> {
    ui: &'u Ui,
    screen: Screen,
}

/// What a line of a list stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Back,
    Help,
    Choice(usize),
    Other,
}

impl<'u> Rich<'u> {
    /// At this terminal.
    pub fn new(ui: &'u Ui) -> Rich<'u> {
        Rich { ui, screen: Screen::new() }
    }

    fn talk(&self, text: &str) {
        self.ui.talk(wrapped(text, self.screen.columns().max(2) - 1));
    }

    /// After Ctrl-C.
    fn goes_on(&self) -> anyhow::Result<()> {
        self.talk(&format!("\n{STOP}\n"));
        let items = ["Go on".to_string(), "Stop".to_string()];
        match self.screen.choose("find:", &items, 0).map_err(failed)? {
            Pressed::Enter(0) | Pressed::Escape => Ok(()),
            Pressed::Enter(_) | Pressed::Interrupt => Err(stopped()),
        }
    }

    fn line(&self, prompt: &str, shown: bool) -> anyhow::Result<Said> {
        loop {
            match self.screen.line(prompt, shown).map_err(failed)? {
                Pressed::Enter(text) => {
                    return Ok(match text.trim() {
                        "<" => Said::Back,
                        "?" => Said::Help,
                        _ => Said::Answer(text),
                    });
                }
                Pressed::Escape => return Ok(Said::Back),
                Pressed::Interrupt => self.goes_on()?,
            }
        }
    }

    fn one(&self, of: &[Choice], default: usize, others: bool) -> anyhow::Result<Said> {
        let (entries, items, at) = lines(of, default, others, self.screen.listed());
        loop {
            let entry = match self.screen.choose("find:", &items, at).map_err(failed)? {
                Pressed::Enter(index) => entries.get(index).copied().unwrap_or(Entry::Help),
                Pressed::Escape => Entry::Back,
                Pressed::Interrupt => {
                    self.goes_on()?;
                    continue;
                }
            };
            return match entry {
                Entry::Back => Ok(Said::Back),
                Entry::Help => Ok(Said::Help),
                Entry::Other => self.line("> ", true),
                Entry::Choice(index) => {
                    self.talk(&format!("> {}\n", of.get(index).map_or("", |one| &one.shown)));
                    Ok(Said::Answer((index + 1).to_string()))
                }
            };
        }
    }
}

impl Manner for Rich<'_> {
    fn introduction(&self) -> &'static str {
        "Arrows and Enter choose, letters find one of a list. Esc or < goes back, ? explains, Ctrl-C asks whether to stop.\n"
    }

    fn open(&self, title: &str, _asks: &Asks) {
        self.talk(&format!("{title}\n"));
    }

    fn said(&self, asks: &Asks, prompt: &str) -> anyhow::Result<Said> {
        // Bars that are still there would be drawn over.
        self.ui.talk("");
        match asks {
            Asks::One { of, default, others } => self.one(of, *default, *others),
            Asks::Text { default, .. } if !default.is_empty() => self.line(&format!("{prompt}[{default}] > "), true),
            Asks::Text { optional: true, .. } => self.line(&format!("{prompt}[none] > "), true),
            Asks::Text { .. } => self.line(&format!("{prompt}> "), true),
            Asks::Secret => self.line(&format!("{prompt}> "), false),
        }
    }

    fn tell(&self, text: &str) -> anyhow::Result<()> {
        let columns = self.screen.columns().max(2) - 1;
        let text = wrapped(&cairn_process::text::plain(text), columns);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        // What has scrolled away cannot be had back on the kernel's console.
        let rows = self.screen.rows().max(4) - 2;
        for (number, page) in lines.chunks(rows).enumerate() {
            if number > 0 && self.line("Enter shows more ", false)? == Said::Back {
                break;
            }
            self.ui.talk(page.concat());
        }
        Ok(())
    }

    fn columns(&self) -> usize {
        self.screen.columns().max(2) - 1
    }
}

/// The lines of a list, what each stands for, and which of them is chosen at first. Each has its number, so that two that are shortened to
/// the same text stay two. Of a list that is longer than the screen only the beginning is seen: there the default comes first.
fn lines(of: &[Choice], default: usize, others: bool, rows: usize) -> (Vec<Entry>, Vec<String>, usize) {
    let mut entries = vec![Entry::Back, Entry::Help];
    let long = of.len() + entries.len() > rows;
    entries.extend(Some(Entry::Choice(default)).filter(|_| long && default < of.len()));
    entries.extend((0..of.len()).filter(|index| !long || *index != default).map(Entry::Choice));
    entries.extend(others.then_some(Entry::Other));
    let width = of.len().to_string().len();
    let text = |entry: &Entry| match *entry {
        Entry::Back => BACK.to_string(),
        Entry::Help => HELP.to_string(),
        Entry::Other => OTHER.to_string(),
        Entry::Choice(index) => format!("{:>width$}  {}", index + 1, of.get(index).map_or("", |one| &one.shown)),
    };
    let items = entries.iter().map(text).collect();
    let at = entries.iter().position(|entry| *entry == Entry::Choice(default)).unwrap_or(0);
    (entries, items, at)
}

fn failed(error: std::io::Error) -> anyhow::Error {
    // A terminal that is hung up says so in several ways.
    let gone = error.kind() == std::io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(nix::libc::EIO);
    if gone { nobody() } else { anyhow::Error::from(error).context("reading from the terminal") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(count: usize) -> Vec<Choice> {
        (0..count).map(|n| Choice { value: format!("{n}"), shown: "the same".into() }).collect()
    }

    #[test]
    fn a_list_begins_with_the_way_back_and_every_line_is_another() {
        let (entries, items, at) = lines(&choices(3), 1, true, 10);
        assert_eq!(
            items,
            ["<  back", "?  what this is about", "1  the same", "2  the same", "3  the same", "another, which I type"]
        );
        assert_eq!((at, entries[at], entries[5]), (3, Entry::Choice(1), Entry::Other));
    }

    #[test]
    fn the_default_of_a_long_list_can_be_seen() {
        let (entries, items, at) = lines(&choices(100), 60, false, 10);
        assert_eq!(
            (at, entries.len(), items[2].as_str(), items[3].as_str()),
            (2, 102, " 61  the same", "  1  the same")
        );
        assert_eq!(entries.iter().filter(|entry| **entry == Entry::Choice(60)).count(), 1);
    }
}

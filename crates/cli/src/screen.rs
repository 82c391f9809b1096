//! Lists to choose from and lines to type, on a terminal that can move its cursor. Lists are dialoguer's. Its lines are not used: Ctrl-C
//! in its password leaves a terminal that shows nothing of what is typed, and a line longer than the terminal leaves litter. So lines are
//! read here, key by key.
//!
//! As in [`Ui`](crate::ui::Ui), no character of a stranger's gives orders to the terminal. All marks are of ASCII: of others the kernel's
//! console has the same square for all.

use std::fmt::{self, Write as _};
use std::io;

use cairn_process::go_on;
use cairn_process::text::one_line;
use dialoguer::console::{Key, Term, measure_text_width};
use dialoguer::theme::Theme;
use dialoguer::{Error, FuzzySelect};

use crate::fit::{end_of, shortened};
use crate::signals::Waiting;
use crate::terminal::Keys;

/// So many lines of the screen are left for what stands above a list.
const ABOVE: usize = 8;
/// The fewest lines of a list.
const FEWEST: usize = 3;

/// How somebody ended a list or a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pressed<T> {
    /// By Enter.
    Enter(T),
    /// By Esc.
    Escape,
    /// By Ctrl-C.
    Interrupt,
}

/// A terminal.
pub struct Screen {
    term: Term,
    /// Whether it has the letters of Latin-1 and no others.
    few_letters: bool,
}

impl Screen {
    /// That of standard error.
    pub fn new() -> Screen {
        let few_letters = std::env::var_os("TERM").is_some_and(|term| term == "linux");
        Screen { term: Term::buffered_stderr(), few_letters }
    }

    /// Its columns.
    pub fn columns(&self) -> usize {
        usize::from(self.term.size().1)
    }

    /// Its lines.
    pub fn rows(&self) -> usize {
        usize::from(self.term.size().0)
    }

    /// How much of a list is seen at once.
    pub fn listed(&self) -> usize {
        self.rows().saturating_sub(ABOVE).max(FEWEST)
    }

    /// Lets one of several be chosen: by arrows, or by letters, to which only those remain that have them. Each must be another than all
    /// others, also when its middle is left out.
    ///
    /// # Errors
    /// Nobody answers any more.
    pub fn choose(&self, prompt: &str, items: &[String], default: usize) -> io::Result<Pressed<usize>> {
        let columns = self.columns();
        let items: Vec<String> = items.iter().map(|item| self.fitting(item, columns.saturating_sub(4))).collect();
        let theme = Ascii { columns };
        let list = FuzzySelect::with_theme(&theme)
            .with_prompt(self.clean(prompt))
            .items(&items)
            .default(default)
            .highlight_matches(false)
            .report(false)
            .max_length(self.listed());
        self.during(|| match list.interact_on_opt(&self.term) {
            Ok(Some(index)) => Ok(Pressed::Enter(index)),
            Ok(None) => Ok(Pressed::Escape),
            Err(Error::IO(error)) => Err(error),
        })
    }

    /// Lets a line be typed; unless it is `shown`, nothing of it is.
    ///
    /// # Errors
    /// Nobody answers any more.
    pub fn line(&self, prompt: &str, shown: bool) -> io::Result<Pressed<String>> {
        let columns = self.columns();
        let prompt = shortened(&self.clean(prompt), columns / 2);
        let room = columns.saturating_sub(measure_text_width(&prompt) + 1).max(1);
        let mut line = Line::default();
        self.during(|| {
            loop {
                self.term.clear_line()?;
                let (seen, after) = if shown { line.seen(room) } else { (String::new(), 0) };
                self.term.write_str(&format!("{prompt}{}", self.clean(&seen)))?;
                self.term.move_cursor_left(after)?;
                self.term.flush()?;
                if let Some(pressed) = line.key(self.term.read_key()?)? {
                    self.term.write_line("")?;
                    return Ok(match pressed {
                        Pressed::Enter(()) => Pressed::Enter(line.text()),
                        Pressed::Escape => Pressed::Escape,
                        Pressed::Interrupt => Pressed::Interrupt,
                    });
                }
            }
        })
    }

    /// Whatever happens meanwhile, the cursor is seen afterwards, and what is typed is shown.
    fn during<T>(&self, asked: impl FnOnce() -> io::Result<Pressed<T>>) -> io::Result<Pressed<T>> {
        let _keys = Keys::begin()?;
        let waiting = Waiting::begin()?;
        let pressed = asked();
        self.term.show_cursor()?;
        self.term.flush()?;
        match pressed {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                waiting.forget();
                // Another signal interrupts as well.
                go_on().map_err(io::Error::other)?;
                Ok(Pressed::Interrupt)
            }
            other => other,
        }
    }

    /// In one line of the terminal.
    fn fitting(&self, text: &str, columns: usize) -> String {
        let text = self.clean(text);
        let mut columns = columns;
        loop {
            let fitting = shortened(&text, columns);
            // Whoever draws the list counts bytes where it means columns, and would clear a line too many.
            if fitting.len() <= self.columns() || columns == 0 {
                return fitting;
            }
            columns -= 1;
        }
    }

    fn clean(&self, text: &str) -> String {
        let shown = |c| if self.few_letters && u32::from(c) > 0xff { '?' } else { c };
        one_line(text).chars().map(shown).collect()
    }
}

/// How lists look: `>` before the line that is chosen, and no colours. Bold and grey the kernel's console does not have with a font of 512
/// letters.
struct Ascii {
    columns: usize,
}

impl Theme for Ascii {
    fn format_fuzzy_select_prompt(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        search_term: &str,
        bytes_pos: usize,
    ) -> fmt::Result {
        let (before, after) = search_term.split_at(bytes_pos);
        let typed = format!("{}|{}", one_line(before), one_line(after));
        let prompt = shortened(prompt, self.columns / 2);
        let room = self.columns.saturating_sub(measure_text_width(&prompt) + 2);
        write!(f, "{prompt} {}", end_of(&typed, room))
    }
}

/// A line that is typed. Pure.
#[derive(Debug, Default)]
struct Line {
    chars: Vec<char>,
    at: usize,
}

impl Line {
    fn text(&self) -> String {
        self.chars.iter().collect()
    }

    /// Takes a key; whether it ends the line.
    fn key(&mut self, key: Key) -> io::Result<Option<Pressed<()>>> {
        match key {
            Key::Enter => return Ok(Some(Pressed::Enter(()))),
            Key::Escape => return Ok(Some(Pressed::Escape)),
            Key::CtrlC => return Ok(Some(Pressed::Interrupt)),
            // Ctrl-D, and Ctrl-U
            Key::Char('\u{4}') if self.chars.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Key::Char('\u{15}') => *self = Line::default(),
            Key::Char(c) if !c.is_control() => {
                self.chars.insert(self.at, c);
                self.at += 1;
            }
            Key::Backspace if self.at > 0 => {
                self.at -= 1;
                self.chars.remove(self.at);
            }
            Key::Del if self.at < self.chars.len() => drop(self.chars.remove(self.at)),
            Key::ArrowLeft => self.at = self.at.saturating_sub(1),
            Key::ArrowRight => self.at = (self.at + 1).min(self.chars.len()),
            Key::Home => self.at = 0,
            Key::End => self.at = self.chars.len(),
            _ => {}
        }
        Ok(None)
    }

    /// What is seen of it in so many columns, and by how many of them the cursor stands before its end.
    fn seen(&self, room: usize) -> (String, usize) {
        let mut seen = String::new();
        let before: String = self.chars[..self.at].iter().collect();
        let _ = write!(seen, "{}", end_of(&before, room));
        let mut after = 0;
        for c in &self.chars[self.at..] {
            let width = measure_text_width(c.encode_utf8(&mut [0; 4]));
            if measure_text_width(&seen) + width > room {
                break;
            }
            seen.push(*c);
            after += width;
        }
        (seen, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_key_by_key() {
        let mut line = Line::default();
        let mut keys = |keys: &[Key]| keys.iter().filter_map(|key| line.key(key.clone()).unwrap()).last();
        assert_eq!(keys(&"wab1".chars().map(Key::Char).collect::<Vec<_>>()), None);
        let mend = [Key::ArrowLeft, Key::Backspace, Key::Backspace, Key::Char('e'), Key::Char('b'), Key::Char('-')];
        assert_eq!(keys(&mend), None);
        assert_eq!(
            keys(&[Key::Home, Key::Del, Key::Char('W'), Key::End, Key::UnknownEscSeq(vec!['[']), Key::Enter]),
            Some(Pressed::Enter(()))
        );
        assert_eq!(line.text(), "Web-1");
        assert_eq!(line.key(Key::Escape).unwrap(), Some(Pressed::Escape));
        assert!(line.key(Key::Char('\u{4}')).unwrap().is_none());
        line.key(Key::Char('\u{15}')).unwrap();
        assert_eq!(line.key(Key::Char('\u{4}')).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn of_a_long_line_the_place_of_the_cursor_is_seen() {
        let mut line = Line { chars: ('a'..='z').collect(), at: 26 };
        assert_eq!(line.seen(5), ("vwxyz".into(), 0));
        line.at = 3;
        assert_eq!(line.seen(5), ("abcde".into(), 2));
        assert_eq!(line.seen(100).1, 23);
    }

    #[test]
    fn what_is_searched_for_stays_in_its_line() {
        let mut said = String::new();
        let theme = Ascii { columns: 20 };
        theme.format_fuzzy_select_prompt(&mut said, "find:", "a\u{9b}bcdefghijklmnopqrst", 3).unwrap();
        assert!(said.len() < 20 && said.starts_with("find: "), "{said}");
        let screen = Screen { term: Term::buffered_stderr(), few_letters: true };
        assert_eq!(screen.clean("a\u{1b}[2J\nš"), "a\\x1b[2J\\n?");
    }
}

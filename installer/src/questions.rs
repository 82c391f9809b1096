//! What a person is asked before an installation, as a pure function: of the answers so far and of what the computer has comes the
//! next question, or the machine file. How it is asked (lines, a screen) is somebody else's.
//!
//! An answer is held against the rules of machine files at once, so that whatever comes out is one that `cairn check` accepts.

mod answers;
mod by_hand;
mod file;
mod lists;
pub mod network;
mod password;
mod places;
mod seen;
mod systems;

pub use answers::{Answers, Next};
pub use file::Files;
pub use lists::keyboard;
pub use password::hash;
pub use places::Place;
pub use seen::{Seen, SeenDisk, see};
pub use systems::{OfferedSystem, offered};

/// What a question is about. They are asked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The language of messages.
    Language,
    /// The keyboard.
    Keyboard,
    /// The time zone.
    TimeZone,
    /// How it is reached by others: which network.
    Network,
    /// The passphrase of a wireless one.
    WifiPassphrase,
    /// The address in a wired one.
    Address,
    /// Which of the systems that are here.
    System,
    /// The disk.
    Disk,
    /// What becomes of the disk.
    Use,
    /// By hand: which of its partitions is next.
    Part,
    /// What becomes of that one.
    Becomes,
    /// Where it is mounted.
    MountPoint,
    /// How large it is.
    Size,
    /// How much memory may be put aside on the disk.
    Swap,
    /// The machine's name.
    HostName,
    /// The name of the person.
    User,
    /// Their password.
    Password,
    /// A key with which they may log in from elsewhere.
    SshKey,
}

impl Topic {
    /// All of them.
    pub const ALL: [Topic; 18] = [
        Topic::Language,
        Topic::Keyboard,
        Topic::TimeZone,
        Topic::Network,
        Topic::WifiPassphrase,
        Topic::Address,
        Topic::System,
        Topic::Disk,
        Topic::Use,
        Topic::Part,
        Topic::Becomes,
        Topic::MountPoint,
        Topic::Size,
        Topic::Swap,
        Topic::HostName,
        Topic::User,
        Topic::Password,
        Topic::SshKey,
    ];
}

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is written down.
    pub value: String,
    /// What a person reads.
    pub shown: String,
}

/// How a question can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// By one of these.
    One {
        /// In their order.
        of: Vec<Choice>,
        /// Which of them it is unless something else is said.
        default: usize,
        /// Whether something that is not among them will do.
        others: bool,
    },
    /// By a word of one's own.
    Text {
        /// What it is unless something else is said; empty: nothing.
        default: String,
        /// Whether nothing will do.
        optional: bool,
    },
    /// By something that nobody is to see, twice.
    Secret,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub topic: Topic,
    /// In one line.
    pub title: String,
    /// What to know for an answer.
    pub help: &'static str,
    /// How it can be answered.
    pub asks: Asks,
    /// What to know before it is answered, each in a sentence.
    pub notes: Vec<String>,
}

/// The most that is listed where a few letters are in several.
const LISTED: usize = 12;

impl Question {
    /// The value that somebody means: nothing means the default; of several choices one is meant by its number, its value, or
    /// letters that only it has.
    ///
    /// # Errors
    /// In words: nothing was said, or none or several are meant.
    pub fn value_of(&self, said: &str) -> Result<String, String> {
        let said = if self.asks == Asks::Secret { said } else { said.trim() };
        match &self.asks {
            Asks::Secret if said.is_empty() => Err("it cannot be empty".into()),
            Asks::Text { default, optional } if said.is_empty() => {
                if default.is_empty() && !optional {
                    Err("something has to be said here".into())
                } else {
                    Ok(default.clone())
                }
            }
            Asks::Secret | Asks::Text { .. } => Ok(said.into()),
            Asks::One { of, default, .. } if said.is_empty() => {
                of.get(*default).map(|one| one.value.clone()).ok_or_else(|| "there is nothing to choose from".into())
            }
            Asks::One { of, others, .. } => one_of(of, *others, said),
        }
    }
}

fn one_of(of: &[Choice], others: bool, said: &str) -> Result<String, String> {
    let number = said.parse::<usize>().ok().and_then(|number| of.get(number.checked_sub(1)?));
    if let Some(one) = number.or_else(|| of.iter().find(|one| one.value == said)) {
        return Ok(one.value.clone());
    }
    let wanted = said.to_lowercase();
    let has = |one: &Choice| one.value.to_lowercase().contains(&wanted) || one.shown.to_lowercase().contains(&wanted);
    let meant: Vec<(usize, &Choice)> = of.iter().enumerate().filter(|(_, one)| has(one)).collect();
    match meant[..] {
        [(_, one)] => Ok(one.value.clone()),
        [] if others => Ok(said.into()),
        [] => Err(format!("`{said}` is none of them: a number from 1 to {}, or letters of one", of.len())),
        _ => {
            let mut words = format!("{} have that; say its number, or more letters:", meant.len());
            for (index, one) in meant.iter().take(LISTED) {
                words += &format!("\n{:>4}  {}", index + 1, one.shown);
            }
            if meant.len() > LISTED {
                words += "\n      ...";
            }
            Err(words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(asks: Asks) -> Question {
        Question { topic: Topic::Keyboard, title: String::new(), help: "", asks, notes: Vec::new() }
    }

    #[test]
    fn one_of_several_is_meant_by_number_value_or_letters() {
        let of = [("de", "German"), ("ch", "German (Switzerland)"), ("us", "English (US)")];
        let of: Vec<Choice> = of.map(|(value, shown)| Choice { value: value.into(), shown: shown.into() }).into();
        let one = question(Asks::One { of: of.clone(), default: 2, others: false });
        for (said, value) in [("", "us"), ("1", "de"), ("ch", "ch"), ("SWITZ", "ch"), ("de", "de"), (" 3 ", "us")] {
            assert_eq!(one.value_of(said).as_deref(), Ok(value), "{said}");
        }
        let several = one.value_of("german").unwrap_err();
        assert_eq!(several, "2 have that; say its number, or more letters:\n   1  German\n   2  German (Switzerland)");
        for none in ["0", "4", "xx"] {
            assert!(one.value_of(none).unwrap_err().contains("none of them"), "{none}");
        }
        assert_eq!(question(Asks::One { of, default: 0, others: true }).value_of("xx").as_deref(), Ok("xx"));
    }

    #[test]
    fn nothing_is_an_answer_where_it_may_be() {
        let text = |default: &str, optional| question(Asks::Text { default: default.into(), optional }).value_of("  ");
        assert_eq!(text("cairn", false).as_deref(), Ok("cairn"));
        assert_eq!(text("", true).as_deref(), Ok(""));
        assert!(text("", false).is_err());
        assert!(question(Asks::Secret).value_of("").is_err());
        assert_eq!(question(Asks::Secret).value_of(" a ").as_deref(), Ok(" a "));
    }
}

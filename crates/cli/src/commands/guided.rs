//! `cairn install` without a word: a person at the terminal is asked. In plain lines that are numbered, without moving the cursor, so that
//! a serial line, a screen reader and a log have all of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_installer::disks::{Device, hidden};
use cairn_installer::questions::{Answers, Asks, Choice, Files, Next, Question, Seen, Topic, hash, offered, see};
use cairn_process::text::one_line;
use cairn_process::{Refusal, Usage};

use crate::cache;
use crate::terminal::{Hidden, INTERRUPT};
use crate::ui::Ui;
use crate::words::disks::candidates;

/// Where the answers are kept, each machine's in a folder of its own.
const KEPT: &str = "/var/lib/cairn/machines";
/// The password of this start of the medium.
const CODE: &str = "/run/cairn/medium/code";
/// As somebody else's router may know it.
const ADDRESS: &str = "cairn-medium";
/// So many choices are listed; of more, letters find one.
const LISTED: usize = 12;
const INTRODUCTION: &str =
    "Some questions, then all of it is shown once more. No disk is changed before you type what it is called.
Enter takes what is in brackets, < goes back, ? explains, Ctrl-C ends.
";

/// What somebody types instead of an answer.
enum Said {
    Answer(String),
    Back,
    Help,
}

/// A conversation.
pub struct Guide<'u> {
    seen: Seen,
    answers: Answers,
    /// Where the machine file is, once there is one.
    folder: Option<PathBuf>,
    ui: &'u Ui,
}

impl<'u> Guide<'u> {
    /// Looks at the computer.
    ///
    /// # Errors
    /// A refusal: nobody is there to be asked, it is not root's, or there is no disk that a machine could be on.
    pub fn begin(devices: &[Device], ui: &'u Ui) -> anyhow::Result<Guide<'u>> {
        if !ui.can_ask() {
            let why =
                "say which machine file: `cairn install FILE --disk …`; at a terminal, without a file, you are asked";
            return Err(Usage(why.into()).into());
        }
        if !nix::unistd::geteuid().is_root() {
            return Err(Refusal("disks are root's: try again with sudo".into()).into());
        }
        let mut seen = see(Path::new("/"), devices).context("looking at this computer")?;
        seen.systems = offered(&cache::folder()?).context("looking at the systems of this medium")?;
        if seen.disks.is_empty() {
            let mut why =
                format!("there is no disk that a machine could be installed on\n{}", candidates(devices).trim_end());
            for one in hidden(Path::new("/"), devices) {
                why += &format!("\n{}", one_line(&one));
            }
            return Err(Refusal(why).into());
        }
        ui.talk(format_args!("{INTRODUCTION}\n{}", elsewhere()));
        Ok(Guide { seen, answers: Answers::default(), folder: None, ui })
    }

    /// Asks until all is answered, and gives the machine file.
    ///
    /// # Errors
    /// Nobody answers any more, or the file cannot be written.
    pub fn machine_file(&mut self) -> anyhow::Result<PathBuf> {
        while let Next::Ask(question) = self.answers.next(&self.seen) {
            self.ask(&question)?;
        }
        let files = self.answers.files(&self.seen, hash).context("hashing the password")?;
        self.write(&files)
    }

    /// What was said was no use: the disk is chosen once more.
    pub fn disk_again(&mut self, why: &anyhow::Error) {
        self.ui.talk(format_args!("\nThis cannot be done: {why:#}\nThe disk is asked for once more; with the same answers the same is tried again.\n\n"));
        self.answers.back_to(Topic::Disk);
    }

    /// After all was shown: whether it is to be done. No: the last answer is taken back.
    ///
    /// # Errors
    /// Nobody answers any more.
    pub fn agrees(&mut self, file: &Path) -> anyhow::Result<bool> {
        self.ui.talk(format_args!("\nThe machine file is {}.\n", file.display()));
        loop {
            match self.said("Enter goes on, < changes an answer, ? shows the machine file: ", false)? {
                Said::Answer(line) if line.trim().is_empty() => return Ok(true),
                Said::Answer(_) => {}
                Said::Back => {
                    self.answers.back();
                    return Ok(false);
                }
                Said::Help => {
                    self.ui.talk(format_args!("\n{}\n", fs::read_to_string(file).context("reading the machine file")?))
                }
            }
        }
    }

    fn ask(&mut self, question: &Question) -> anyhow::Result<()> {
        let topics: Vec<Topic> = self.answers.topics(&self.seen).collect();
        let number = topics.iter().position(|topic| *topic == question.topic).map_or(0, |at| at + 1);
        self.ui.talk(format_args!("{number} of {}  {}\n{}", topics.len(), question.title, listed(&question.asks)));
        let secret = question.asks == Asks::Secret;
        loop {
            let value = match self.said(&prompt(&question.asks), secret)? {
                Said::Back if self.answers.back() => break,
                Said::Back => Err("this is the first question".into()),
                Said::Help => Err(question.help.to_string()),
                Said::Answer(line) => question.value_of(&line),
            };
            // What must not be seen is typed twice.
            let same = !secret || value.is_err() || self.once_more()? == value.as_ref().ok().cloned();
            let taken = match value {
                Ok(_) if !same => Err("the two are not the same; say it again".into()),
                Ok(value) => self.answers.give(question.topic, value, &self.seen),
                Err(why) => Err(why),
            };
            match taken {
                Ok(()) => break,
                Err(why) => self.ui.talk(format_args!("{why}\n")),
            }
        }
        self.ui.talk("\n");
        Ok(())
    }

    fn once_more(&self) -> anyhow::Result<Option<String>> {
        Ok(match self.said("the same once more: ", true)? {
            Said::Answer(line) => Some(line),
            Said::Back | Said::Help => None,
        })
    }

    fn said(&self, prompt: &str, secret: bool) -> anyhow::Result<Said> {
        let hidden = if secret { Some(Hidden::begin().context("hiding what is typed")?) } else { None };
        let line = self.ui.ask(prompt)?.unwrap_or_default();
        if let Some(hidden) = hidden {
            drop(hidden);
            self.ui.talk("\n");
        }
        let Some(text) = line.strip_suffix('\n').filter(|text| !text.contains(INTERRUPT)) else {
            return Err(Refusal("nobody answers any more: nothing was written to any disk".into()).into());
        };
        Ok(match text.trim() {
            "<" => Said::Back,
            "?" => Said::Help,
            _ => Said::Answer(text.to_string()),
        })
    }

    fn write(&mut self, files: &Files) -> anyhow::Result<PathBuf> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => new_folder(self.answers.get(Topic::HostName).unwrap_or("machine"))?,
        };
        self.folder = Some(folder.clone());
        Self::remove_others(&folder, files)?;
        let machine = ("machine.yaml".to_string(), files.machine.clone().into_bytes());
        for (name, bytes) in files.beside.iter().chain([&machine]) {
            // Names of a machine file that was checked: below its folder.
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
            }
            let mut file = fs::OpenOptions::new();
            let file = file.write(true).create(true).truncate(true).mode(0o600).open(&path);
            let written = file.and_then(|mut file| file.write_all(bytes));
            written.with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(folder.join("machine.yaml"))
    }
}

impl Guide<'_> {
    /// A password of somebody who is not of the machine any more goes: its hash is nobody's business.
    fn remove_others(folder: &Path, files: &Files) -> anyhow::Result<()> {
        let of_machine = |name: &str| files.beside.iter().any(|(file, _)| file == name);
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(".password") && !of_machine(name)) {
                fs::remove_file(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
            }
        }
        Ok(())
    }
}

/// A folder for a machine's files that only root reads.
fn new_folder(name: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(KEPT).with_context(|| format!("making {KEPT}"))?;
    fs::set_permissions(KEPT, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("closing {KEPT} to others"))?;
    for number in 1_u32.. {
        let folder = Path::new(KEPT).join(if number == 1 { name.to_string() } else { format!("{name}-{number}") });
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("making {}", folder.display())),
        }
    }
    anyhow::bail!("there are too many machines in {KEPT}")
}

/// How the medium can be reached from another computer, where it runs and says so.
fn elsewhere() -> String {
    let code = fs::read_to_string(CODE).ok().map(|code| code.trim().to_string()).filter(|code| !code.is_empty());
    code.map_or_else(String::new, |code| {
        format!("From another computer: ssh root@{ADDRESS}, password {}; then `cairn install`.\n\n", one_line(&code))
    })
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

/// The default in brackets, and where to type.
fn prompt(asks: &Asks) -> String {
    let default = match asks {
        Asks::One { of, default, .. } => {
            of.get(*default).map(|one| if of.len() <= LISTED { format!("{}", default + 1) } else { one.shown.clone() })
        }
        Asks::Text { default, .. } if !default.is_empty() => Some(default.clone()),
        Asks::Text { optional: true, .. } => Some("none".into()),
        Asks::Text { .. } | Asks::Secret => None,
    };
    default.map_or_else(|| "> ".into(), |default| format!("[{}] > ", one_line(&default)))
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
        assert_eq!((listed(&few).as_str(), prompt(&few).as_str()), ("   1  number 1\n   2  number 2\n", "[2] > "));
        let many = Asks::One { of: choices(400), default: 1, others: true };
        assert_eq!(listed(&many), "      400 to choose from: letters of a name find it\n");
        assert_eq!(prompt(&many), "[number 2] > ");
        let text = |default: &str, optional| prompt(&Asks::Text { default: default.into(), optional });
        assert_eq!(
            (text("cairn", false), text("", true), text("", false)),
            ("[cairn] > ".into(), "[none] > ".into(), "> ".into())
        );
    }
}

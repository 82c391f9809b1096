//! `cairn install` without a word: a person at the terminal is asked, on a screen or in lines (see [`manner`]).

mod editor;
mod keyboard;
mod last;
mod linear;
mod manner;
mod network;
mod rich;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_installer::disks::{Device, hidden};
use cairn_installer::questions::network::Joining;
use cairn_installer::questions::{Answers, Asks, Files, Next, Question, Seen, Topic, hash, offered, see};
use cairn_process::text::one_line;
use cairn_process::{Refusal, Usage};

pub use self::manner::is_screen;
use self::manner::{Manner, Said, choose};
use crate::cache;
use crate::ui::Ui;
use crate::words::disks::candidates;

/// Where the answers are kept, each machine's in a folder of its own.
const KEPT: &str = "/var/lib/cairn/machines";
/// The machine file among them.
const FILE: &str = "machine.yaml";
/// The password of this start of the medium.
const CODE: &str = "/run/cairn/medium/code";
/// As somebody else's router may know it.
const ADDRESS: &str = "cairn-medium";
const INTRODUCTION: &str =
    "Some questions, then all of it is shown once more. No disk is changed before you type what it is called.
";

/// What can be said to a network that cannot be joined.
const TO_NO_NETWORK: [(&str, &str); 3] = [
    ("again", "Type the passphrase once more"),
    ("other", "Another network, or none"),
    ("keep", "Keep it: the machine will try by itself"),
];

/// A conversation.
pub struct Guide<'u> {
    seen: Seen,
    answers: Answers,
    /// Where the machine file is, once there is one.
    folder: Option<PathBuf>,
    /// Whether somebody has changed it, so that the answers are no longer all that it says.
    edited: bool,
    manner: Box<dyn Manner + 'u>,
    ui: &'u Ui,
}

impl<'u> Guide<'u> {
    /// Looks at the computer. `rich`: whether it is to be a screen; nothing: what the terminal is good for.
    ///
    /// # Errors
    /// A refusal: nobody is there to be asked, it is not root's, or there is no disk that a machine could be on.
    pub fn begin(devices: &[Device], rich: Option<bool>, ui: &'u Ui) -> anyhow::Result<Guide<'u>> {
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
        let manner = choose(rich, ui);
        let notes: String = seen.notes().iter().map(|note| format!("{}\n\n", one_line(note))).collect();
        manner.tell(&format!("{INTRODUCTION}{}\n{}{notes}", manner.introduction(), elsewhere()))?;
        Ok(Guide { seen, answers: Answers::default(), folder: None, edited: false, manner, ui })
    }

    /// Asks until all is answered, and gives the machine file.
    ///
    /// # Errors
    /// Nobody answers any more, or the file cannot be written.
    pub fn machine_file(&mut self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = self.folder.as_ref().filter(|_| self.edited) {
            return Ok(folder.join(FILE));
        }
        while let Next::Ask(mut question) = self.answers.next(&self.seen) {
            if question.topic == Topic::Network && !self.seen.network.radios.is_empty() {
                self.manner.tell("Looking for wireless networks ...\n")?;
                self.seen.network.heard = network::listen(&self.seen);
                let Next::Ask(with) = self.answers.next(&self.seen) else { continue };
                question = with;
            }
            self.ask(&question)?;
        }
        let files = self.answers.files(&self.seen, hash).context("hashing the password")?;
        self.write(&files)
    }

    fn ask(&mut self, question: &Question) -> anyhow::Result<()> {
        let (number, all) = self.answers.step(question.topic, &self.seen);
        for note in &question.notes {
            self.manner.tell(&format!("{}\n\n", one_line(note)))?;
        }
        self.manner.open(&format!("{number} of {all}  {}", question.title), &question.asks);
        loop {
            let value = match self.manner.said(&question.asks, "")? {
                Said::Back if self.answers.back() => break,
                Said::Back => Err("this is the first question".into()),
                Said::Help => Err(question.help.to_string()),
                Said::Answer(line) => question.value_of(&line),
            };
            // What must not be seen is typed twice, unless it is tried at once.
            let tried = question.topic == Topic::WifiPassphrase && network::can_join();
            let secret = question.asks == Asks::Secret && value.is_ok() && !tried;
            let same = !secret || self.once_more()? == value.as_ref().ok().cloned();
            let taken = match value {
                Ok(_) if !same => Err("the two are not the same; say it again".into()),
                Ok(value) => self.answers.give(question.topic, value, &self.seen),
                Err(why) => Err(why),
            };
            match taken {
                Ok(()) if question.topic == Topic::Keyboard => {
                    self.try_keyboard()?;
                    break;
                }
                Ok(()) if matches!(question.topic, Topic::Network | Topic::WifiPassphrase) => {
                    self.try_network()?;
                    break;
                }
                Ok(()) => break,
                Err(why) => self.manner.tell(&format!("{why}\n"))?,
            }
        }
        self.ui.talk("\n");
        Ok(())
    }

    fn once_more(&self) -> anyhow::Result<Option<String>> {
        Ok(match self.manner.said(&Asks::Secret, "once more: ")? {
            Said::Answer(line) => Some(line),
            Said::Back | Said::Help => None,
        })
    }

    /// On the medium the network is joined at once. Who wants another is asked for it again.
    fn try_network(&mut self) -> anyhow::Result<()> {
        let Some(name) = self.answers.wifi().map(ToString::to_string).filter(|_| network::can_join()) else {
            return Ok(());
        };
        let passphrase = self.answers.get(Topic::WifiPassphrase).map(ToString::to_string);
        if passphrase.is_none() && self.answers.topics(&self.seen).any(|topic| topic == Topic::WifiPassphrase) {
            return Ok(());
        }
        self.manner.tell(&format!("Joining {} ...\n", one_line(&name)))?;
        let why = match network::join(&self.seen, &name, passphrase.as_deref())? {
            Joining::Done(address) => return self.manner.tell(&format!("Joined. The address is {address}.\n")),
            Joining::NoAddress => "it is joined, and nobody gives an address (DHCP)",
            Joining::Not(why) => why,
        };
        self.manner.tell(&format!("This network cannot be used now: {why}.\n"))?;
        match self.choice("What now?", &TO_NO_NETWORK)?.as_str() {
            "keep" => {}
            "again" if passphrase.is_some() => drop(self.answers.back()),
            _ => self.answers.ask_network(),
        }
        Ok(())
    }

    /// Where the keys are ours they are changed at once, and can be tried. Who goes back is asked for the keyboard again.
    fn try_keyboard(&mut self) -> anyhow::Result<()> {
        let (Some(console), Some(layout)) = (keyboard::console(), self.answers.get(Topic::Keyboard)) else {
            return Ok(());
        };
        if let Err(error) = keyboard::apply(&console, layout) {
            return self.manner.tell(&format!("This keyboard cannot be tried here: {error:#}\n"));
        }
        let asks = Asks::Text { default: String::new(), optional: true };
        self.manner.open("Type some letters to try the keyboard; Enter goes on, < changes it", &asks);
        loop {
            match self.manner.said(&asks, "")? {
                Said::Answer(_) => return Ok(()),
                Said::Back => {
                    self.answers.back();
                    return Ok(());
                }
                Said::Help => self.manner.tell("What you type is for nothing but to see it.\n")?,
            }
        }
    }

    fn write(&mut self, files: &Files) -> anyhow::Result<PathBuf> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => new_folder(self.answers.get(Topic::HostName).unwrap_or("machine"))?,
        };
        self.folder = Some(folder.clone());
        Self::remove_others(&folder, files)?;
        let machine = (FILE.to_string(), files.machine.clone().into_bytes());
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
        Ok(folder.join(FILE))
    }
}

impl Guide<'_> {
    /// A password of somebody who is not of the machine any more goes, and the passphrase of a network: they are nobody's business.
    fn remove_others(folder: &Path, files: &Files) -> anyhow::Result<()> {
        let of_machine = |name: &str| files.beside.iter().any(|(file, _)| file == name);
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| {
                [".password", ".passphrase"].iter().any(|end| name.ends_with(end)) && !of_machine(name)
            }) {
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

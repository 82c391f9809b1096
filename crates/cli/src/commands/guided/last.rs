//! The last page: the disk now and then, what is lost, and what somebody says to it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use cairn_installer::install::{Consent, InstallPlan, words_of_consent};
use cairn_installer::questions::{Asks, Choice, Topic};
use cairn_machine::Problems;

use super::editor::edit;
use super::manner::Said;
use super::{FILE, Guide};
use crate::exit::problems_in;
use crate::terminal::problem_text;
use crate::words::install::page;

/// What can be said to a plan. The first is taken unless something else is said.
const TO_A_PLAN: [(&str, &str); 6] = [
    ("go-on", "Go on: the next line asks what the disk is called"),
    ("back", "Change an answer"),
    ("again", "Show the disk and what is lost once more"),
    ("show", "Show the machine file"),
    ("edit", "Change the machine file by hand"),
    ("network", "The network: Wi-Fi, or an address that does not change"),
];
/// What can be said to a machine file of one's own that does not work.
const TO_A_FAULT: [(&str, &str); 2] = [
    ("edit", "Change the machine file once more"),
    ("back", "Answer the questions again: the file is written anew, and yours is kept beside it"),
];

impl Guide<'_> {
    /// Shows what will be done. `Some`: it is to be done, and the disk was named, unless it `is_named` already. `None`: something else
    /// is to be done, which is planned again.
    ///
    /// # Errors
    /// Nobody answers any more.
    pub fn last(&mut self, plan: &InstallPlan, file: &Path, is_named: bool) -> anyhow::Result<Option<Option<Consent>>> {
        self.show(plan, file)?;
        loop {
            match self.choice("All of it is shown above. What now?", &TO_A_PLAN)?.as_str() {
                "go-on" if is_named => return Ok(Some(None)),
                "go-on" => {
                    if let Some(consent) = self.named(plan)? {
                        return Ok(Some(Some(consent)));
                    }
                }
                "again" => self.show(plan, file)?,
                "show" => {
                    let text = fs::read_to_string(file).context("reading the machine file")?;
                    self.manner.tell(&format!("\n{text}\n"))?;
                }
                "edit" => {
                    if self.edited_by_hand(file)? {
                        return Ok(None);
                    }
                }
                "network" => {
                    self.set_aside(file)?;
                    self.answers.ask_network();
                    return Ok(None);
                }
                _ => {
                    self.set_aside(file)?;
                    self.answers.back();
                    return Ok(None);
                }
            }
        }
    }

    fn show(&self, plan: &InstallPlan, file: &Path) -> anyhow::Result<()> {
        let page = page(plan, self.manner.columns());
        self.manner.tell(&format!("\n{page}\nThe machine file is {}.\n", file.display()))
    }

    /// What was said was no use: the disk is chosen once more, or the file changed that somebody has written.
    ///
    /// # Errors
    /// Nobody answers any more.
    pub fn cannot(&mut self, file: &Path, why: &anyhow::Error) -> anyhow::Result<()> {
        let all = problems_in(why);
        let (problems, _) = Problems::worth_showing(&all);
        let mut text = String::from("\nThis cannot be done: ");
        if problems.is_empty() {
            text += &format!("{why:#}\n");
        } else {
            text += "the machine file is not one\n";
        }
        for problem in problems {
            text += &format!("{}\n", problem_text(problem));
        }
        if !self.edited {
            text += "The disk is asked for once more; with the same answers the same is tried again.\n\n";
            self.answers.back_to(Topic::Disk);
            return self.manner.tell(&text);
        }
        self.manner.tell(&text)?;
        loop {
            if self.choice("What now?", &TO_A_FAULT)? != "edit" {
                self.set_aside(file)?;
                self.answers.back_to(Topic::Disk);
                return Ok(());
            }
            if self.edited_by_hand(file)? {
                return Ok(());
            }
        }
    }

    /// Lets the disk be named. A wrong name is no end; nothing is a way back.
    fn named(&self, plan: &InstallPlan) -> anyhow::Result<Option<Consent>> {
        let words = words_of_consent(&plan.disk);
        let word = words.first().map_or("", String::as_str);
        let asks = Asks::Text { default: String::new(), optional: true };
        self.manner.open(&format!("To write to the disk, type its name: {word} (nothing goes back)"), &asks);
        loop {
            let line = match self.manner.said(&asks, "")? {
                Said::Back => return Ok(None),
                Said::Help => {
                    self.manner.tell(&format!("Each of these names it:\n  {}\n", words.join("\n  ")))?;
                    continue;
                }
                Said::Answer(line) if line.trim().is_empty() => return Ok(None),
                Said::Answer(line) => line,
            };
            let consent = Consent(line);
            match consent.check(&plan.disk) {
                Ok(()) => return Ok(Some(consent)),
                Err(why) => self.manner.tell(&format!("{why}\n"))?,
            }
        }
    }

    /// One of these, by its value; going back is `back`.
    pub(super) fn choice(&self, title: &str, of: &[(&str, &str)]) -> anyhow::Result<String> {
        let of = of.iter().map(|(value, shown)| Choice { value: (*value).into(), shown: (*shown).into() }).collect();
        let asks = Asks::One { of, default: 0, others: false };
        let question = cairn_installer::questions::Question {
            topic: Topic::Use,
            title: title.into(),
            help: "",
            asks,
            notes: Vec::new(),
        };
        self.manner.open(title, &question.asks);
        loop {
            let why = match self.manner.said(&question.asks, "")? {
                Said::Back => return Ok("back".into()),
                Said::Help => "Nothing is written before the disk is called by its name.".to_string(),
                Said::Answer(line) => match question.value_of(&line) {
                    Ok(value) => return Ok(value),
                    Err(why) => why,
                },
            };
            self.manner.tell(&format!("{why}\n"))?;
        }
    }

    /// Whether the file was given to an editor.
    fn edited_by_hand(&mut self, file: &Path) -> anyhow::Result<bool> {
        match edit(file) {
            Ok(true) => {
                self.edited = true;
                return Ok(true);
            }
            Ok(false) => self.manner.tell("There is no editor here: set EDITOR, or install nano.\n")?,
            Err(error) => self.manner.tell(&format!("The editor did not end well: {error:#}\n"))?,
        }
        Ok(false)
    }

    /// A file that somebody has changed is kept beside the one that answers make.
    fn set_aside(&mut self, file: &Path) -> anyhow::Result<()> {
        if std::mem::take(&mut self.edited) {
            let kept = file.with_file_name(format!("{FILE}.edited"));
            fs::rename(file, &kept).with_context(|| format!("keeping {}", kept.display()))?;
            self.manner.tell(&format!(
                "The machine file is written anew; the one that you changed is {}.\n",
                kept.display()
            ))?;
        }
        Ok(())
    }
}

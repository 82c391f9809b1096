//! What somebody says of a disk and what is to become of it: on the command line, or in a file.

use std::path::Path;

use cairn_installer::disks::Selector;
use cairn_installer::install::Asked;
use cairn_layout::onto::{Mode, Wish};
use cairn_machine::model::{self, Install, InstallInto};
use cairn_process::{Refusal, Usage};

use crate::args::{Into, ShareArgs, Then};

/// What is to become of a disk, as the command line says it.
fn asked(args: &ShareArgs) -> anyhow::Result<Asked> {
    let of = |list: &[(String, u32)]| list.iter().cloned().collect();
    let mode = match args.into {
        Into::Whole => Mode::Whole,
        Into::Free | Into::Again | Into::Renew => Mode::Free,
    };
    let (replace, keep) = (of(&args.replace), of(&args.keep));
    let wish = Wish { mode, replace, keep, spare: args.spare.iter().copied().collect() };
    let named = !(wish.replace.is_empty() && wish.keep.is_empty() && wish.spare.is_empty());
    match args.into {
        Into::Again | Into::Renew if named => {
            let why = "--into again and renew find out by themselves what is replaced and kept; say it with --into free instead";
            Err(Usage(why.into()).into())
        }
        Into::Again => Ok(Asked::Again),
        Into::Renew => Ok(Asked::Renew),
        _ => Ok(Asked::Wish(wish)),
    }
}

/// What is said about the disk, on the command line or in a file.
pub struct Said {
    /// Which disk.
    pub selector: Selector,
    /// What becomes of it.
    pub asked: Asked,
    /// What is said about what is lost.
    pub erase: Option<String>,
    /// What happens at the end.
    pub then: Then,
}

impl Said {
    /// What the command line says.
    pub fn of_arguments(share: &ShareArgs, selector: &Selector) -> anyhow::Result<Said> {
        let asked = asked(share)?;
        Ok(Said { selector: selector.clone(), asked, erase: None, then: Then::Nothing })
    }

    /// What a file says.
    pub fn of_instructions(install: &Install, file: &Path) -> anyhow::Result<Said> {
        let selector = install.disk.parse();
        let selector = selector.map_err(|why| Refusal(format!("{}: install: disk: {why}", file.display())))?;
        let wish = |mode| Wish {
            mode,
            replace: install.replace.clone(),
            keep: install.keep.clone(),
            spare: install.spare.iter().copied().collect(),
        };
        let asked = match install.into {
            InstallInto::Whole => Asked::Wish(wish(Mode::Whole)),
            InstallInto::Free => Asked::Wish(wish(Mode::Free)),
            InstallInto::Again => Asked::Again,
            InstallInto::Renew => Asked::Renew,
        };
        let then = match install.then {
            model::Then::Nothing => Then::Nothing,
            model::Then::Reboot => Then::Reboot,
            model::Then::PowerOff => Then::PowerOff,
        };
        Ok(Said { selector, asked, erase: install.erase.clone(), then })
    }
}

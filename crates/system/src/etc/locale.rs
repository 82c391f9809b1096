//! Language, time zone and keyboard.

use std::fmt::Write as _;
use std::path::Path;

use cairn_machine::model::Machine;

use super::keymap;
use super::zones::{self, Found};
use crate::error::SystemError;
use crate::tree::Tree;

/// Puts `locale.conf`, `localtime`, `timezone`, `default/keyboard`, and the links that Debian has to them.
///
/// # Errors
/// When the base has no such time zone.
pub fn apply(tree: &mut Tree, machine: &Machine, base: &Path) -> Result<(), SystemError> {
    let mut locale = format!("LANG={}\n", machine.locale.lang);
    for (category, value) in &machine.locale.categories {
        let _ = writeln!(locale, "{category}={value}");
    }
    tree.file("locale.conf", locale)?;
    // These two links are those that Debian's tmpfiles.d/debian.conf makes at every boot.
    tree.link("default/locale", "../locale.conf")?;
    tree.link("vconsole.conf", "default/keyboard")?;

    tree.file("default/keyboard", keymap::settings(&machine.keyboard))?;

    let zone = &machine.timezone;
    tree.remove("localtime");
    match zones::find(base, zone)? {
        Found::Zone => tree.link("localtime", format!("/{}/{zone}", zones::FOLDER))?,
        Found::Nothing if matches!(zone.as_str(), "UTC" | "Etc/UTC") => {}
        Found::Nothing | Found::NoZone => {
            let near = zones::near(base, zone).map(|near| format!("did you mean {near}?"));
            let help = near.unwrap_or_else(|| {
                "zones have names such as Europe/Berlin; some old ones are in the package tzdata-legacy".into()
            });
            let message = format!("there is no time zone {zone} in the packages");
            return Err(SystemError::refused_with("/timezone", message, Some(help)));
        }
        Found::Folder(first) => {
            let help = first.map(|first| format!("name one of those in it, such as {zone}/{first}"));
            let message = format!("{zone} is a folder of time zones, not one itself");
            return Err(SystemError::refused_with("/timezone", message, help));
        }
    }
    // Without the file /etc/localtime, the C library takes UTC.
    tree.file("timezone", format!("{zone}\n"))
}

//! Language, time zone and keyboard.

use std::fmt::Write as _;

use cairn_machine::model::Machine;

use super::keymap;
use crate::error::SystemError;
use crate::tree::Tree;

/// Puts `locale.conf`, `localtime`, `timezone`, `default/keyboard`, and the links that Debian has to them.
///
/// # Errors
/// When the base has no such time zone.
pub fn apply(tree: &mut Tree, machine: &Machine, has: &dyn Fn(&str) -> bool) -> Result<(), SystemError> {
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
    let file = format!("/usr/share/zoneinfo/{zone}");
    tree.remove("localtime");
    if has(&file) {
        tree.link("localtime", file)?;
    } else if !matches!(zone.as_str(), "UTC" | "Etc/UTC") {
        let help = "zones have names such as Europe/Berlin; some old ones are in the package tzdata-legacy";
        let message = format!("there is no time zone {zone} in the packages");
        return Err(SystemError::refused_with("/timezone", message, Some(help.into())));
    }
    // Without the file /etc/localtime, the C library takes UTC.
    tree.file("timezone", format!("{zone}\n"))
}

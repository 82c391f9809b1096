//! What the machine is called, and where it stands: name, time zone, language, keyboard.

use super::seen::Seen;
use super::{Carried, assigned};

/// Names of zones that Debian keeps apart, with what they are.
const OLD_ZONES: [(&str, &str); 6] = [
    ("US/Eastern", "America/New_York"),
    ("US/Central", "America/Chicago"),
    ("US/Mountain", "America/Denver"),
    ("US/Pacific", "America/Los_Angeles"),
    ("GB", "Europe/London"),
    ("Japan", "Asia/Tokyo"),
];
/// Keymaps of the console by the first part of their names, with XKB's layouts.
const KEYMAPS: [(&str, &str); 22] = [
    ("be", "be"),
    ("br", "br"),
    ("cz", "cz"),
    ("de", "de"),
    ("dk", "dk"),
    ("es", "es"),
    ("fi", "fi"),
    ("fr", "fr"),
    ("gb", "gb"),
    ("gr", "gr"),
    ("hu", "hu"),
    ("it", "it"),
    ("jp106", "jp"),
    ("nl", "nl"),
    ("no", "no"),
    ("pl", "pl"),
    ("pl2", "pl"),
    ("pt", "pt"),
    ("ru", "ru"),
    ("se", "se"),
    ("uk", "gb"),
    ("us", "us"),
];

/// Carries it over.
pub fn carry(seen: &Seen, to: &mut Carried) {
    match seen.text("/etc/hostname").map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => to.machine.hostname = name.to_ascii_lowercase(),
        None => to.left("hostname", "the system has no name of its own; the machine file says `machine`"),
    }
    zone(seen, to);
    language(seen, to);
    keyboard(seen, to);
}

fn zone(seen: &Seen, to: &mut Carried) {
    let link = seen.links.get("/etc/localtime").and_then(|link| link.split_once("zoneinfo/"));
    let zone = link.map(|(_, zone)| zone).or_else(|| seen.text("/etc/timezone").map(str::trim));
    let Some(zone) = zone.filter(|zone| !zone.is_empty()) else { return };
    let known = OLD_ZONES.iter().find(|(old, _)| *old == zone).map_or(zone, |(_, new)| new);
    to.machine.timezone = if matches!(known, "Etc/UTC" | "UCT" | "Universal") { "UTC" } else { known }.to_string();
}

fn language(seen: &Seen, to: &mut Carried) {
    let text = seen.text("/etc/default/locale").or_else(|| seen.text("/etc/locale.conf")).unwrap_or_default();
    let proper = |name: String| name.replace(".utf8", ".UTF-8").replace(".UTF8", ".UTF-8").replace(".utf-8", ".UTF-8");
    let Some(lang) = assigned(text, "LANG").filter(|lang| !lang.is_empty()) else { return };
    if matches!(lang.as_str(), "C" | "POSIX") {
        return;
    }
    to.machine.locale.lang = proper(lang);
    let names = text.lines().filter_map(|line| line.trim().split_once('=')).map(|(name, _)| name.trim());
    for name in names.filter(|name| name.starts_with("LC_") && *name != "LC_ALL") {
        if let Some(value) =
            assigned(text, name).map(proper).filter(|value| !value.is_empty() && *value != to.machine.locale.lang)
        {
            to.machine.locale.categories.insert(name.into(), value);
        }
    }
}

fn keyboard(seen: &Seen, to: &mut Carried) {
    let keyboard = &mut to.machine.keyboard;
    let texts = ["/etc/default/keyboard", "/etc/vconsole.conf"].map(|path| seen.text(path).unwrap_or_default());
    let value = |key: &str| texts.iter().find_map(|text| assigned(text, key)).filter(|value| !value.is_empty());
    if let Some(layout) = value("XKBLAYOUT") {
        keyboard.layout = layout;
        keyboard.variant = value("XKBVARIANT").filter(|variant| !variant.trim_matches(',').is_empty());
        keyboard.options =
            value("XKBOPTIONS").map(|all| all.split(',').map(str::to_string).collect()).unwrap_or_default();
        if let Some(model) = value("XKBMODEL") {
            keyboard.model = model;
        }
        return;
    }
    let Some(keymap) = value("KEYMAP") else { return };
    let first = keymap.split(['-', '_', '.']).next().unwrap_or_default();
    match KEYMAPS.iter().find(|(name, _)| *name == first) {
        Some((_, layout)) => keyboard.layout = (*layout).into(),
        None => to.left("keyboard", format!("the console's keymap {keymap}: `keyboard:` names XKB's layouts")),
    }
}

//! Services: names of units, and the text of those that are the machine's own.

mod scheduled;

use std::collections::BTreeMap;

use super::{Findings, short};
use crate::install::Install;
use crate::model::{Machine, Services, Unit, unit_name};
use crate::pointer::child;

/// Kinds of units, with the section that each must have (systemd.unit(5)).
const KINDS: [(&str, Option<&str>); 9] = [
    ("service", Some("Service")),
    ("socket", Some("Socket")),
    ("timer", Some("Timer")),
    ("path", Some("Path")),
    ("mount", Some("Mount")),
    ("automount", Some("Automount")),
    ("swap", Some("Swap")),
    ("target", None),
    ("slice", None),
];

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    let services = &machine.services;
    let mut enabled = BTreeMap::new();
    for (i, name) in services.enable.iter().enumerate() {
        let at = child("/services/enable", i);
        plain_name(&at, name, f);
        if name.contains("@.") || name.ends_with('@') {
            let help = "put the instance after the `@`, such as getty@tty2.service";
            f.wrong(&at, format!("`{}` is a template, and cannot be started by itself", short(name)), help);
        }
        if enabled.insert(unit_name(name), i).is_some() {
            f.doubtful(&at, format!("`{}` is listed twice", short(name)), "remove one");
        }
    }
    for (i, name) in services.disable.iter().enumerate() {
        let at = child("/services/disable", i);
        plain_name(&at, name, f);
        let unit = unit_name(name);
        if enabled.contains_key(&unit) {
            f.wrong(&at, format!("`{}` is both enabled and disabled", short(name)), "keep one of the two");
        } else if services.units.contains_key(&unit) {
            let help = "write `enable: false` in the unit, or remove it";
            f.wrong(&at, format!("`{}` is a unit of the machine's own, and disabled", short(name)), help);
        }
        without_network(&at, &unit, machine, f);
    }
    scheduled::check(services, f);
    for (name, drop_in) in &services.drop_ins {
        drop_in_of(&child("/services/drop_ins", name), name, &drop_in.text, services, f);
    }
    for (name, unit) in &services.units {
        let at = child("/services/units", name);
        if let Some((what, help)) = no_unit(name) {
            f.wrong_key(at, format!("`{}` is {what}, not a unit", short(name)), help);
        } else if kind_of(name).is_none() && is_name(name) {
            let help = format!("write `{}`", short(&unit_name(name)));
            f.wrong_key(&at, format!("the unit `{}` has no kind in its name", short(name)), help);
        } else if !is_name(name) || kind_of(name).is_none() {
            let help = "letters, digits and `:-_.@`, with a kind at the end, such as web.service";
            f.wrong_key(&at, format!("`{}` is not the name of a unit", short(name)), help);
        } else if name.starts_with("cairn-") {
            f.wrong_key(at, "units whose names begin with `cairn-` are Cairn's own", "choose another name");
        } else {
            unit_text(&at, name, unit, services, f);
        }
    }
}

/// What other files of systemd people take for units, and where they go.
fn no_unit(name: &str) -> Option<(&'static str, String)> {
    if let Some((unit, _)) = name.split_once(".d/") {
        let help = format!("write its text under `services.drop_ins.{}`", short(unit));
        return Some(("a drop-in", help));
    }
    let (_, kind) = name.rsplit_once('.')?;
    let folder = match kind {
        "netdev" | "network" | "link" => "network",
        "nspawn" => "nspawn",
        _ => return None,
    };
    let help = match folder {
        "network" => {
            format!("say it under `network`, or as a file: `files: {{/etc/systemd/network/{}: …}}`", short(name))
        }
        _ => format!("write it as a file: `files: {{/etc/systemd/{folder}/{}: …}}`", short(name)),
    };
    Some(("a file of another part of systemd", help))
}

/// What the machine file says of the network is done by these two.
fn without_network(at: &str, unit: &str, machine: &Machine, f: &mut Findings) {
    let network = &machine.network;
    if unit == "systemd-networkd.service" && !(network.interfaces.is_empty() && network.wifi.is_empty()) {
        let what = if network.interfaces.is_empty() { "wifi" } else { "interfaces" };
        let help = format!("remove `network.{what}`, or do not disable it");
        f.wrong(at, format!("systemd-networkd sets up what `network.{what}` says, and is disabled"), help);
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['.', '@'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
}

fn kind_of(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    let (stem, kind) = name.rsplit_once('.')?;
    KINDS.into_iter().find(|(known, _)| *known == kind && !stem.is_empty())
}

/// The name of a unit of the packages; `.service` may be left out.
fn plain_name(at: &str, name: &str, f: &mut Findings) {
    if is_name(name) {
        return;
    }
    let help = match name.contains('/') {
        true => "write the unit's name without a path, such as ssh.service",
        false => "one unit in each item, such as ssh or apt-daily.timer",
    };
    f.wrong(at, format!("`{}` is not the name of a unit", short(name)), help);
}

/// An addition to a unit of the packages.
fn drop_in_of(at: &str, name: &str, text: &str, services: &Services, f: &mut Findings) {
    if !is_name(name) || (kind_of(name).is_none() && !name.contains('.')) {
        let help = format!("write the full name of a unit, such as `{}`", short(&unit_name(name)));
        return f.wrong_key(at, format!("`{}` is not the name of a unit", short(name)), help);
    }
    if services.units.contains_key(name) {
        let help = "write it into the unit's own text";
        return f.wrong_key(at, format!("`{}` is a unit of the machine's own", short(name)), help);
    }
    if services.disable.iter().any(|other| unit_name(other) == name) {
        f.doubtful(at, format!("`{}` is disabled, so nothing comes of this", short(name)), "remove one of the two");
    }
    let at = child(at, "text");
    match sections(text) {
        Err((message, help)) => f.wrong(at, message, help),
        Ok(sections) if sections.contains_key("Install") => {
            let help = "name the unit in `services.enable` or `services.disable`";
            f.wrong(at, "whether a unit starts at boot is not said in a drop-in's [Install]", help);
        }
        Ok(_) => {}
    }
}

/// Looks at a unit file as systemd will: lines before a section, sections that must be there, how it is started.
fn unit_text(at: &str, name: &str, unit: &Unit, services: &Services, f: &mut Findings) {
    let at_text = child(at, "text");
    let sections = match sections(&unit.text) {
        Ok(sections) => sections,
        Err((message, help)) => return f.wrong(at_text, message, help),
    };
    if let Some((kind, Some(needed))) = kind_of(name)
        && !sections.contains_key(needed)
    {
        let help = match sections.keys().find(|section| section.eq_ignore_ascii_case(needed)) {
            Some(near) => format!("write `[{needed}]` instead of `[{near}]`"),
            None => String::new(),
        };
        return f.wrong(at_text, format!("the text has no section [{needed}], which a {kind} needs"), help);
    }
    if let Some(keys) = sections.get("Service")
        && kind_of(name).is_some_and(|(kind, _)| kind == "service")
        && !["ExecStart", "ExecStop", "SuccessAction"].iter().any(|key| keys.contains(key))
    {
        f.wrong(&at_text, "the section [Service] has no `ExecStart=`", "say what is to be run");
    }
    // A template's own words are looked at as those of an instance.
    let as_enabled = |install: &Install| match install.name_of(name)? {
        Some(name) => install.enabled(&name),
        None => install.enabled(&name.replacen('@', "@x", 1)),
    };
    if let Err(bad) = as_enabled(&Install::of(&unit.text)) {
        let help = "write the full names of units, such as multi-user.target, without a path";
        return f.wrong(&at_text, bad.to_string(), help);
    }
    if !unit.enable {
        return;
    }
    let install = sections.get("Install");
    let can_be_enabled = install.is_some_and(|keys| {
        ["WantedBy", "RequiredBy", "UpheldBy", "Alias", "Also"].iter().any(|key| keys.contains(key))
    });
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let triggered =
        ["timer", "socket", "path"].iter().any(|kind| services.units.contains_key(&format!("{stem}.{kind}")));
    if !can_be_enabled && !triggered {
        let help =
            "add `[Install]` with `WantedBy=multi-user.target`, or write `enable: false` if something else starts it";
        f.wrong(&at_text, "nothing starts this unit: it has no [Install] section that says when", help);
    } else if stem.ends_with('@') && can_be_enabled && !install.is_some_and(|keys| keys.contains(&"DefaultInstance")) {
        let help = "write `enable: false` here, and name the instance under `services.enable`";
        f.wrong(&at_text, "a template cannot be started without an instance", help);
    }
}

/// The sections of a unit file with the keys in each.
fn sections(text: &str) -> Result<BTreeMap<&str, Vec<&str>>, (String, &'static str)> {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current: Option<&str> = None;
    let mut continued = false;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        let comment = line.starts_with(['#', ';']);
        let of_line_above = continued;
        continued = line.ends_with('\\') || (of_line_above && comment);
        if of_line_above || comment || line.is_empty() {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            sections.entry(section).or_default();
            current = Some(section);
            continue;
        }
        if line.starts_with('[') && line.contains(']') {
            let message = format!("line {} of the text, `{}`, has more than the name of a section", i + 1, short(line));
            return Err((message, "a comment stands on a line of its own"));
        }
        let Some(current) = current else {
            let message = format!("line {} of the text, `{}`, stands before any section", i + 1, short(line));
            return Err((message, "begin with a section such as `[Unit]` or `[Service]`"));
        };
        let Some((key, _)) = line.split_once('=') else {
            let message =
                format!("line {} of the text, `{}`, is neither `[Section]` nor `Key=value`", i + 1, short(line));
            return Err((message, "a long value goes on in the next line after a `\\` at the end"));
        };
        sections.entry(current).or_default().push(key.trim());
    }
    if sections.is_empty() {
        return Err(("the text has no section".into(), "begin with a section such as `[Unit]` or `[Service]`"));
    }
    Ok(sections)
}

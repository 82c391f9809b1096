//! What runs: units of the machine's own, enabled and disabled ones.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::Machine;
use cairn_machine::nearest;
use cairn_machine::pointer::child;

use super::{bad_word, enable, enable_if_any, mask, quiet};
use crate::error::SystemError;
use crate::tree::{Node, Tree};
use crate::units::{NotEnabled, UnitLink, Units, full_name};

/// A name that comes after those of packages, and that `systemctl edit` on the machine comes after.
const DROP_IN: &str = "machine.conf";

/// Puts units, links and masks.
///
/// # Errors
/// When a unit is not there, cannot be enabled, or is in the way of another.
pub fn apply(tree: &mut Tree, machine: &Machine, units: &Units) -> Result<(), SystemError> {
    let services = &machine.services;
    // Somebody who sits before the machine can log in; on serial consoles systemd sees to it by itself.
    enable_if_any(tree, units, "getty@tty1.service")?;
    // All texts come before all links: a link in the place of a text is then seen, whatever their order is.
    for (name, unit) in &services.units {
        tree.file(&format!("systemd/system/{}", full_name(name)), unit.text.as_bytes())?;
    }
    for (name, drop_in) in &services.drop_ins {
        if !units.has(name) {
            return Err(unknown(child("/services/drop_ins", name), name, units));
        }
        // An alias has no drop-ins of its own.
        let name = units.real_name(name);
        tree.file(&format!("systemd/system/{name}.d/{DROP_IN}"), drop_in.text.as_bytes())?;
    }
    // What is enabled with a disabled unit goes before something else is enabled that may need it.
    for name in &services.disable {
        disable_friends(tree, units, name);
    }
    let mut links = Links::default();
    for (name, _) in services.units.iter().filter(|(_, unit)| unit.enable) {
        let pointer = child(child("/services/units", name), "text");
        match units.enable(name) {
            Ok(made) => links.put(tree, made, name, &pointer)?,
            Err(NotEnabled::BadWord { unit, word }) => return Err(bad_word(pointer, &unit, &word)),
            // A unit that another one starts.
            Err(NotEnabled::Unknown | NotEnabled::Masked | NotEnabled::Template) => {}
        }
    }
    for (i, name) in services.enable.iter().enumerate() {
        let pointer = format!("/services/enable/{i}");
        let made = enabled(tree, units, name, &pointer)?;
        links.put(tree, made, name, &pointer)?;
    }
    for (i, name) in services.disable.iter().enumerate() {
        let pointer = format!("/services/disable/{i}");
        if !units.has(name) {
            return Err(unknown(pointer, name, units));
        }
        // Another name is masked too, or it would start the unit after all.
        let (own, real) = (full_name(name), units.real_name(name));
        for trigger in units.triggers(&real) {
            if wants(machine, units, trigger) {
                let help = format!("disable {trigger} too, or neither");
                let message = format!("{trigger}, which is enabled, would start {real}, which is disabled");
                return Err(SystemError::refused_with(pointer, message, Some(help)));
            }
            // A socket whose service cannot start is a unit that has failed.
            mask(tree, trigger)?;
        }
        mask(tree, &real)?;
        if own != real {
            mask(tree, &own)?;
        }
    }
    Ok(())
}

/// The links of a unit that the machine file enables; a mask that is only usual goes.
fn enabled(tree: &mut Tree, units: &Units, name: &str, pointer: &str) -> Result<BTreeSet<UnitLink>, SystemError> {
    let (full, real) = (full_name(name), units.real_name(name));
    if let Some(why) = quiet::why_masked(&real) {
        let message = format!("{real} cannot be had on a machine of Cairn's: {why}");
        return Err(SystemError::refused_with(pointer, message, Some("remove it".into())));
    }
    quiet::unmask(tree, &real);
    if let Some(stem) = real.strip_suffix(".timer") {
        quiet::unmask(tree, &format!("{stem}.service"));
    }
    match units.enable(name) {
        Ok(links) if links.is_empty() && !units.wanted.contains(&real) => {
            let help = "something else starts it when it is needed; to start it at boot, write a unit that wants it";
            let message = format!("{real} is static: it has no [Install] section, so enabling it does nothing");
            Err(SystemError::refused_with(pointer, message, Some(help.into())))
        }
        Ok(links) => Ok(links),
        Err(NotEnabled::BadWord { unit, word }) => Err(bad_word(pointer.into(), &unit, &word)),
        Err(NotEnabled::Unknown) => Err(unknown(pointer.into(), name, units)),
        Err(NotEnabled::Masked) => {
            Err(SystemError::refused(pointer, format!("the package masks {full}, it cannot be started")))
        }
        Err(NotEnabled::Template) => {
            let help = format!("write which instance: {}", full.replacen('@', "@NAME", 1));
            Err(SystemError::refused_with(pointer, format!("{full} is a template"), Some(help)))
        }
    }
}

/// The links that were made here, by their path, with what asked for each.
#[derive(Default)]
struct Links(BTreeMap<String, (String, String)>);

impl Links {
    /// Puts the links of one unit. A link never takes the place of a unit's text, nor of another's link: systemctl refuses
    /// both.
    fn put(
        &mut self,
        tree: &mut Tree,
        links: BTreeSet<UnitLink>,
        name: &str,
        pointer: &str,
    ) -> Result<(), SystemError> {
        for (path, target) in &links {
            if let Some(Node::File(_)) = tree.get(&format!("systemd/system/{path}")) {
                let message =
                    format!("{} is also called {path}, and that is a unit with a text of its own", full_name(name));
                let help = "give the machine file's unit another name, or enable only one of the two".to_string();
                return Err(SystemError::refused_with(pointer, message, Some(help)));
            }
            match self.0.get(path) {
                Some((other, by)) if other != target => {
                    let message = format!("{} and {} are both called {path}", full_name(by), full_name(name));
                    return Err(SystemError::refused_with(pointer, message, Some("enable one of the two".into())));
                }
                _ => drop(self.0.insert(path.clone(), (target.clone(), name.to_string()))),
            }
        }
        enable(tree, links)
    }
}

/// Takes away the links of what a unit's `Also=` names, as `systemctl disable` does.
fn disable_friends(tree: &mut Tree, units: &Units, name: &str) {
    let Ok(links) = units.enable(name) else { return };
    for (path, _) in links {
        let path = format!("systemd/system/{path}");
        if let Some(Node::Link(_)) = tree.get(&path) {
            tree.remove(&path);
        }
    }
}

/// Whether the machine file itself wants a unit to run.
fn wants(machine: &Machine, units: &Units, name: &str) -> bool {
    let services = &machine.services;
    services.enable.iter().any(|other| units.real_name(other) == name)
        || services.units.iter().any(|(other, unit)| unit.enable && full_name(other) == name)
}

fn unknown(pointer: String, name: &str, units: &Units) -> SystemError {
    let full = full_name(name);
    let near = nearest(&full, units.names()).map(|n| format!("did you mean {n}?"));
    let help = near.or_else(|| Some("is the package that brings it in source.debian.packages?".into()));
    SystemError::refused_with(pointer, format!("the packages have no unit {full}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnitFile;

    fn units() -> Units {
        let file = |text: &str| UnitFile::File { folder: "/usr/lib/systemd/system", text: text.into() };
        let mut units = Units::default();
        units.files.insert("ssh.service".into(), file("[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n"));
        units.files.insert("sshd.service".into(), UnitFile::Alias(Some("ssh.service".into())));
        units.files.insert("off.service".into(), UnitFile::Alias(None));
        units.files.insert("a@.service".into(), file("[Install]\nWantedBy=multi-user.target\n"));
        units.files.insert("static.service".into(), file("[Service]\nExecStart=/bin/true\n"));
        units.files.insert("usual.service".into(), file("[Service]\nExecStart=/bin/true\n"));
        units.wanted.insert("usual.service".into());
        let friends = "[Install]\nWantedBy=multi-user.target\nAlso=iscsid.socket friend.socket\nAlias=dm.service\n";
        units.files.insert("iscsid.service".into(), file(friends));
        for socket in ["iscsid.socket", "friend.socket"] {
            units.files.insert(socket.into(), file("[Install]\nWantedBy=sockets.target\n"));
        }
        units.files.insert("other.service".into(), file("[Install]\nAlias=dm.service\n"));
        for unit in ["e2scrub_all.timer", "e2scrub_all.service", "apt-daily.timer"] {
            units.files.insert(unit.into(), file("[Install]\nWantedBy=timers.target\n"));
        }
        units.files.insert("bad.service".into(), file("[Install]\nAlias=../../../victim.service\n"));
        units
    }

    fn machine(services: &str) -> Machine {
        let text =
            format!(r#"{{"version":1,"hostname":"h","source":{{"debian":{{}}}},"disks":{{}},"services":{services}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn refused(services: &str) -> (String, String, String) {
        let error = apply(&mut Tree::default(), &machine(services), &units()).unwrap_err();
        (error.pointer().unwrap().into(), error.to_string(), error.help().unwrap_or_default().into())
    }

    #[test]
    fn enabling_links_and_disabling_masks_under_every_name() {
        let mut tree = Tree::default();
        apply(&mut tree, &machine(r#"{"enable":["sshd"]}"#), &units()).unwrap();
        let link = "systemd/system/multi-user.target.wants/ssh.service";
        assert_eq!(tree.get(link), Some(&Node::Link("/usr/lib/systemd/system/ssh.service".into())));
        apply(&mut tree, &machine(r#"{"disable":["sshd"]}"#), &units()).unwrap();
        let left: Vec<_> = tree.iter().collect();
        let null = Node::Link("/dev/null".into());
        assert_eq!(left, [("systemd/system/ssh.service", &null), ("systemd/system/sshd.service", &null)]);
    }

    #[test]
    fn what_cannot_be_enabled_is_refused_at_its_place() {
        let (pointer, message, help) = refused(r#"{"enable":["ssh","shs"]}"#);
        assert_eq!(pointer, "/services/enable/1");
        assert_eq!(message, "the packages have no unit shs.service");
        assert_eq!(help, "did you mean ssh.service?");
        assert_eq!(refused(r#"{"disable":["nothing-like-it"]}"#).0, "/services/disable/0");
        assert_eq!(refused(r#"{"enable":["off"]}"#).1, "the package masks off.service, it cannot be started");
        let (pointer, message, _) = refused(r#"{"enable":["ssh","bad"]}"#);
        let told = "the unit bad.service cannot be enabled: `Alias=` in [Install] has `../../../victim.service`";
        assert!(pointer == "/services/enable/1" && message.starts_with(told), "{pointer}: {message}");
        assert_eq!(refused(r#"{"enable":["a@"]}"#).2, "write which instance: a@NAME.service");
    }

    #[test]
    fn a_usual_mask_goes_and_one_with_a_reason_stays() {
        let mut tree = Tree::default();
        quiet::mask_units(&mut tree, &units()).unwrap();
        apply(&mut tree, &machine(r#"{"enable":["e2scrub_all.timer"]}"#), &units()).unwrap();
        let units = tree.iter().map(|(path, _)| path).filter(|path| path.contains("e2scrub")).collect::<Vec<_>>();
        assert_eq!(units, ["systemd/system/timers.target.wants/e2scrub_all.timer"]);
        let (pointer, message, _) = refused(r#"{"enable":["apt-daily.timer"]}"#);
        assert_eq!(pointer, "/services/enable/0");
        assert!(message.contains("apt-daily.timer cannot be had") && message.contains("cairn upgrade"), "{message}");
    }

    #[test]
    fn enabling_what_cannot_be_enabled_is_told_and_what_runs_anyway_is_not() {
        assert!(refused(r#"{"enable":["static"]}"#).1.contains("static.service is static"));
        apply(&mut Tree::default(), &machine(r#"{"enable":["usual"]}"#), &units()).unwrap();
    }

    #[test]
    fn no_link_takes_the_place_of_a_text_or_of_another_link() {
        let own =
            r#"{"units":{"sshd.service":{"text":"[Service]\nExecStart=/bin/true","enable":false}},"enable":["ssh"]}"#;
        let (mut machine, mut units) = (machine(own), units());
        let text = machine.services.units["sshd.service"].text.clone();
        units.files.insert("sshd.service".into(), UnitFile::File { folder: "/etc/systemd/system", text });
        let told = |machine: &Machine| apply(&mut Tree::default(), machine, &units).unwrap_err();
        let error = told(&machine);
        assert_eq!(error.pointer(), Some("/services/enable/0"));
        assert!(error.to_string().starts_with("ssh.service is also called sshd.service"), "{error}");
        machine.services.enable = vec!["iscsid".into(), "other".into()];
        let error = told(&machine);
        assert_eq!(error.pointer(), Some("/services/enable/1"));
        assert_eq!(error.to_string(), "iscsid.service and other.service are both called dm.service");
    }

    #[test]
    fn an_addition_goes_to_the_unit_itself_and_to_one_that_is_there() {
        let mut tree = Tree::default();
        apply(&mut tree, &machine(r#"{"drop_ins":{"sshd.service":{"text":"[Service]\nRestart=always\n"}}}"#), &units())
            .unwrap();
        assert_eq!(tree.text("systemd/system/ssh.service.d/machine.conf").unwrap(), "[Service]\nRestart=always\n");
        let (pointer, _, help) = refused(r#"{"drop_ins":{"shs.service":{"text":"[Service]"}}}"#);
        assert_eq!((pointer.as_str(), help.as_str()), ("/services/drop_ins/shs.service", "did you mean ssh.service?"));
    }

    #[test]
    fn what_starts_a_disabled_unit_is_disabled_with_it() {
        let mut tree = Tree::default();
        for socket in ["iscsid.socket", "friend.socket"] {
            let path = format!("systemd/system/sockets.target.wants/{socket}");
            tree.link(&path, format!("/usr/lib/systemd/system/{socket}")).unwrap();
        }
        apply(&mut tree, &machine(r#"{"disable":["iscsid"]}"#), &units()).unwrap();
        let left: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(left, ["systemd/system/iscsid.service", "systemd/system/iscsid.socket"], "both are masks");
        let (pointer, message, _) = refused(r#"{"disable":["iscsid"],"enable":["iscsid.socket"]}"#);
        assert_eq!(pointer, "/services/disable/0");
        assert_eq!(message, "iscsid.socket, which is enabled, would start iscsid.service, which is disabled");
        // What is only enabled together with it can be wanted for something else.
        let both = machine(r#"{"disable":["iscsid"],"enable":["friend.socket"]}"#);
        apply(&mut tree, &both, &units()).unwrap();
        assert!(tree.get("systemd/system/sockets.target.wants/friend.socket").is_some());
    }
}

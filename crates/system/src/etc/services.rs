//! What runs: units of the machine's own, enabled and disabled ones.

use cairn_machine::model::Machine;
use cairn_machine::nearest;
use cairn_machine::pointer::child;

use super::{bad_word, enable, enable_if_any, mask};
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::{NotEnabled, Units, full_name};

/// Puts units, links and masks.
///
/// # Errors
/// When a unit is not there, or cannot be enabled.
pub fn apply(tree: &mut Tree, machine: &Machine, units: &Units) -> Result<(), SystemError> {
    let services = &machine.services;
    // Somebody who sits before the machine can log in; on serial consoles systemd sees to it by itself.
    enable_if_any(tree, units, "getty@tty1.service")?;
    for (name, unit) in &services.units {
        let name = full_name(name);
        tree.file(&format!("systemd/system/{name}"), unit.text.as_bytes())?;
        if !unit.enable {
            continue;
        }
        match units.enable(&name) {
            Ok(links) => enable(tree, links)?,
            Err(NotEnabled::BadWord { unit, word }) => {
                return Err(bad_word(child(child("/services/units", &name), "text"), &unit, &word));
            }
            // A unit that another one starts.
            Err(NotEnabled::Unknown | NotEnabled::Masked | NotEnabled::Template) => {}
        }
    }
    for (i, name) in services.enable.iter().enumerate() {
        let pointer = format!("/services/enable/{i}");
        match units.enable(name) {
            Ok(links) => enable(tree, links)?,
            Err(NotEnabled::BadWord { unit, word }) => return Err(bad_word(pointer, &unit, &word)),
            Err(NotEnabled::Unknown) => return Err(unknown(pointer, name, units)),
            Err(NotEnabled::Masked) => {
                let message = format!("the package masks {}, it cannot be started", full_name(name));
                return Err(SystemError::refused(pointer, message));
            }
            Err(NotEnabled::Template) => {
                let help = format!("write which instance: {}", full_name(name).replacen('@', "@NAME", 1));
                let message = format!("{} is a template", full_name(name));
                return Err(SystemError::refused_with(pointer, message, Some(help)));
            }
        }
    }
    for (i, name) in services.disable.iter().enumerate() {
        if !units.has(name) {
            return Err(unknown(format!("/services/disable/{i}"), name, units));
        }
        // Another name is masked too, or it would start the unit after all.
        let (own, real) = (full_name(name), units.real_name(name));
        mask(tree, &real)?;
        if own != real {
            mask(tree, &own)?;
        }
    }
    Ok(())
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
    use crate::tree::Node;
    use crate::units::UnitFile;

    fn units() -> Units {
        let file = |text: &str| UnitFile::File { folder: "/usr/lib/systemd/system", text: text.into() };
        let mut units = Units::default();
        units.0.insert("ssh.service".into(), file("[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n"));
        units.0.insert("sshd.service".into(), UnitFile::Alias(Some("ssh.service".into())));
        units.0.insert("off.service".into(), UnitFile::Alias(None));
        units.0.insert("a@.service".into(), file("[Install]\nWantedBy=multi-user.target\n"));
        units.0.insert("bad.service".into(), file("[Install]\nAlias=../../../victim.service\n"));
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
}

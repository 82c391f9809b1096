//! What runs: units of the machine's own, enabled and disabled ones.

use cairn_machine::model::Machine;
use cairn_machine::nearest;

use super::{enable, mask};
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::{NotEnabled, Units, full_name};

/// Puts units, links and masks.
///
/// # Errors
/// When a unit is not there, or cannot be enabled.
pub fn apply(tree: &mut Tree, machine: &Machine, units: &Units) -> Result<(), SystemError> {
    let services = &machine.services;
    for (name, unit) in &services.units {
        let name = full_name(name);
        tree.file(&format!("systemd/system/{name}"), unit.text.as_bytes());
        if unit.enable
            && let Ok(links) = units.enable(&name)
        {
            enable(tree, links);
        }
    }
    for (i, name) in services.enable.iter().enumerate() {
        let pointer = format!("/services/enable/{i}");
        match units.enable(name) {
            Ok(links) => enable(tree, links),
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
        mask(tree, &real);
        if own != real {
            mask(tree, &own);
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

//! Loads the modules that devices ask for: sysfs says what each of them asks for (`modalias`), and modprobe finds what that means.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cairn_process::{Tool, ToolError};

use crate::error::{Context, Error};

/// Devices behind these buses lead to no disk.
const OTHER_BUSES: [&str; 6] = ["cpu", "memory", "node", "event_source", "clocksource", "workqueue"];

/// The devices that have been met so far.
#[derive(Debug, Default)]
pub struct Drivers {
    /// What devices have asked for.
    asked: BTreeSet<String>,
}

impl Drivers {
    /// Loads what devices ask for that have come since the last time, and `more` with that; false where none has come.
    pub fn load(&mut self, more: &[&str]) -> Result<bool, Error> {
        let new: Vec<String> = aliases().into_iter().filter(|alias| self.asked.insert(alias.clone())).collect();
        if new.is_empty() {
            return Ok(false);
        }
        load(more.iter().map(ToString::to_string).chain(new))?;
        Ok(true)
    }
}

/// Loads modules by name or alias, as far as the initrd has them.
pub fn load(names: impl IntoIterator<Item = String>) -> Result<(), Error> {
    let tool = Tool::new("modprobe", "kmod", "load what devices ask for").args(["-a", "-b", "-q", "--"]);
    match tool.args(names).run() {
        // That there is nothing for a device is usual.
        Ok(()) | Err(ToolError::Failed { .. }) => Ok(()),
        Err(error) => Err(error).context("loading modules"),
    }
}

/// What the devices that there are ask for.
fn aliases() -> Vec<String> {
    let names = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let buses = names(Path::new("/sys/bus")).filter(|bus| !OTHER_BUSES.iter().any(|other| bus.file_name() == *other));
    let devices = buses.flat_map(|bus| names(&bus.path().join("devices")));
    let aliases = devices.filter_map(|device| fs::read_to_string(device.path().join("modalias")).ok());
    aliases.map(|text| text.trim_end().to_string()).filter(|alias| !alias.is_empty()).collect()
}

//! All that is known of a computer, for programs.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::Architecture;
use serde::Serialize;

use super::findings::{Advice, Findings, Why};
use super::observe::{Driver, Kernel, Machine, NamedFirmware, Node, Observed, PciDevice};
use crate::disks::Device;

/// It.
#[derive(Debug, Serialize)]
pub struct Record<'o> {
    architecture: Option<Architecture>,
    initrd_modules: Vec<Module<'o>>,
    needed: BTreeSet<String>,
    kernel_modules: Vec<Module<'o>>,
    left_out: Vec<LeftOut<'o>>,
    kernel_package: Option<&'o Advice>,
    packages: &'o [Advice],
    consoles: Option<&'o Advice<Vec<String>>>,
    machine: &'o Machine,
    kernel: KernelRecord<'o>,
    graphics: Vec<Graphics<'o>>,
    disks: Vec<Way<'o>>,
    keyboards: Vec<Way<'o>>,
    devices: &'o [Device],
    notes: &'o [String],
}

#[derive(Debug, Serialize)]
struct Module<'o> {
    name: &'o str,
    reasons: &'o BTreeSet<String>,
    state: State,
}

/// How a kernel has a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As a file.
    Module,
    /// Built in.
    BuiltIn,
    /// The kernel's modules are not there to be asked.
    Unknown,
}

impl State {
    /// Of a module that was not left out.
    pub fn of(kernel: &Kernel, module: &str) -> State {
        match kernel.has(module) {
            Some(_) if kernel.has_built_in(module) => State::BuiltIn,
            Some(_) => State::Module,
            None => State::Unknown,
        }
    }
}

#[derive(Debug, Serialize)]
struct LeftOut<'o> {
    name: &'o str,
    reasons: &'o BTreeSet<String>,
    why: Why,
}

#[derive(Debug, Serialize)]
struct KernelRecord<'o> {
    release: Option<&'o str>,
    firmware: &'o BTreeMap<String, NamedFirmware>,
}

#[derive(Debug, Serialize)]
struct Graphics<'o> {
    address: &'o str,
    vendor: String,
    device: String,
    driver: Option<&'o str>,
}

/// A device with the drivers on the way to it, nearest first.
#[derive(Debug, Serialize)]
struct Way<'o> {
    name: &'o str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'o str>,
    drivers: Vec<&'o str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<&'o str>,
}

impl<'o> Record<'o> {
    /// Of what was seen and what follows from it.
    pub fn new(observed: &'o Observed, found: &'o Findings) -> Record<'o> {
        let modules = |all: &'o BTreeMap<String, BTreeSet<String>>| {
            let module =
                |(name, reasons): (&'o String, _)| Module { name, reasons, state: State::of(&observed.kernel, name) };
            all.iter().map(module).collect()
        };
        let left_out = found.left_out.iter().map(|(name, out)| LeftOut { name, reasons: &out.reasons, why: out.why });
        Record {
            architecture: found.architecture,
            initrd_modules: modules(&found.initrd_modules),
            needed: observed.kernel.needs(found.initrd_modules.keys().map(String::as_str)),
            kernel_modules: modules(&found.kernel_modules),
            left_out: left_out.collect(),
            kernel_package: found.kernel_package.as_ref(),
            packages: &found.packages,
            consoles: found.consoles.as_ref(),
            machine: &observed.machine,
            kernel: KernelRecord { release: observed.kernel.release.as_deref(), firmware: observed.kernel.firmware() },
            graphics: observed.graphics().map(graphics).collect(),
            disks: observed.block.iter().map(way).collect(),
            keyboards: observed.keyboards.iter().map(way).collect(),
            devices: &observed.devices,
            notes: &found.warnings,
        }
    }
}

fn graphics(device: &PciDevice) -> Graphics<'_> {
    Graphics {
        address: &device.address,
        vendor: format!("{:04x}", device.vendor),
        device: format!("{:04x}", device.device),
        driver: device.driver.as_ref().map(Driver::name),
    }
}

fn way(node: &Node) -> Way<'_> {
    Way {
        name: &node.name,
        title: node.title.as_deref(),
        drivers: node.drivers.iter().map(Driver::name).collect(),
        behind: node.behind.as_deref(),
    }
}

//! The boot loader and the kernel's command line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The boot loader and the kernel's command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Boot {
    /// Which boot loader.
    pub loader: Loader,
    /// Seconds that the menu is shown; 0 hides it.
    #[schemars(example = 3)]
    pub timeout: u32,
    /// How many generations keep their entry in the menu.
    #[schemars(range(min = 1, max = 1000), example = 10)]
    pub generations: u32,
    /// More parameters for the kernel.
    #[schemars(extend("examples" = [["panic=10"]]))]
    pub kernel_parameters: Vec<String>,
    /// Consoles, least important first; the last one is /dev/console. As after `console=`.
    #[schemars(extend("examples" = [["tty0", "ttyS0,115200"]]))]
    pub consoles: Vec<String>,
}

impl Default for Boot {
    fn default() -> Self {
        Boot {
            loader: Loader::SystemdBoot,
            timeout: 3,
            generations: 10,
            kernel_parameters: Vec::new(),
            consoles: vec!["tty0".into(), "ttyS0,115200".into()],
        }
    }
}

/// Boot loaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// systemd-boot (UEFI).
    SystemdBoot,
}

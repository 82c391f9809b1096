//! What goes wrong with QEMU.

use std::io;
use std::path::PathBuf;

use cairn_process::ToolError;

use cairn_disk::image::ImageFileError;

/// Why a machine did not start or could not be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QemuError {
    /// QEMU or one of its helpers is missing or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The file is no image.
    #[error(transparent)]
    Image(#[from] ImageFileError),
    /// There is no firmware.
    #[error(
        "the UEFI firmware for virtual machines (OVMF) is needed to run the machine, and is not installed: {why}; \
         `apt-get install ovmf` brings it (Fedora, Arch: edk2-ovmf), or set OVMF_CODE and OVMF_VARS"
    )]
    NoFirmware {
        /// Where it was looked for.
        why: String,
    },
    /// Another program has the image.
    #[error("{} is in use by another machine; stop that one first, or use a copy of the image", .path.display())]
    Busy {
        /// The image.
        path: PathBuf,
    },
    /// The port for SSH is taken.
    #[error("port {port} of this computer is in use by another program; choose another one with --ssh-port")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// Somebody ended QEMU.
    #[error("the machine was stopped from outside")]
    Stopped,
    /// Files or sockets beside the machine.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// QEMU answers something unexpected.
    #[error("QEMU refuses '{command}': {answer}")]
    Control {
        /// The QMP command.
        command: String,
        /// QEMU's answer.
        answer: String,
    },
}

impl QemuError {
    /// Whether it is a refusal: somebody else has what is needed.
    pub fn is_refusal(&self) -> bool {
        matches!(self, QemuError::Busy { .. } | QemuError::PortTaken { .. })
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> QemuError {
        let what = what.into();
        move |source| QemuError::Io { what, source }
    }

    /// Recognises in QEMU's own words what a user can do something about.
    pub(crate) fn from_exit(error: ToolError, image: &std::path::Path, ssh_port: Option<u16>) -> QemuError {
        let ToolError::Failed { stderr, .. } = &error else { return error.into() };
        if stderr.contains("Failed to get") && stderr.contains("lock") {
            return QemuError::Busy { path: image.to_path_buf() };
        }
        match ssh_port {
            Some(port) if stderr.contains("Could not set up host forwarding rule") => QemuError::PortTaken { port },
            _ => error.into(),
        }
    }
}

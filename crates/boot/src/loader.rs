//! A boot loader's programs for UEFI, and where they are on an EFI system partition.

use crate::generation::Artifact;
use crate::image::Signed;
use crate::installation::Installation;
use crate::set::{BootFile, Content, Place, Role, SetError, one_sector};
use crate::systemd_boot::{OWN, REMOVABLE};

/// What shim starts that the firmware finds by itself: the loader, whatever it is, under the name that Debian's shim has in it.
pub const REMOVABLE_SECOND: &str = "EFI/BOOT/grubx64.efi";
/// What that shim starts when somebody is to be asked for keys.
pub const REMOVABLE_KEYS: &str = "EFI/BOOT/mmx64.efi";
/// What a shim in that folder starts before anything else, where it is there. None of ours is.
pub(crate) const REMOVABLE_FIRST: &str = "EFI/BOOT/fbx64.efi";
/// What Debian's signed GRUB reads, on the partition that it was started from.
pub const SIGNED_GRUB_READS: &str = "EFI/debian/grub.cfg";

/// A boot loader, with what of it goes onto the partition.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LoaderProgram {
    /// systemd-boot: its EFI program.
    SystemdBoot(Artifact),
    /// GRUB: its program for UEFI, where the machine has an EFI system partition. What a BIOS starts is not on a file
    /// system.
    Grub {
        /// The program.
        efi: Option<Vec<u8>>,
    },
    /// One of them behind shim, as Debian has signed them.
    Shim(ShimChain),
    /// systemd-boot, signed by the machine's own keys.
    OwnKeys(Signed),
}

/// The chain of signed programs: the firmware knows who signed shim, shim knows who signed the loader and the kernel.
#[derive(Debug, Clone)]
pub struct ShimChain {
    /// shim.
    pub shim: Artifact,
    /// The loader.
    pub loader: Artifact,
    /// What manages a machine's own keys (MOK), which shim starts when there is something to ask.
    pub keys: Artifact,
    /// Where the loader is GRUB: its first script, which finds the menu. It has one built in that reads this from a place where it
    /// is everybody's who uses Debian's GRUB.
    pub grub: Option<String>,
}

impl LoaderProgram {
    /// Whether GRUB shows the menu.
    pub fn is_grub(&self) -> bool {
        match self {
            LoaderProgram::SystemdBoot(_) | LoaderProgram::OwnKeys(_) => false,
            LoaderProgram::Grub { .. } => true,
            LoaderProgram::Shim(chain) => chain.grub.is_some(),
        }
    }

    /// Where the program that the firmware starts is on the EFI system partition, besides the path that every firmware tries.
    /// `shared`: others use that partition too.
    pub fn own_path(&self, installation: Installation, shared: bool) -> String {
        match self {
            LoaderProgram::SystemdBoot(_) | LoaderProgram::OwnKeys(_) if shared => installation.systemd_boot_program(),
            LoaderProgram::SystemdBoot(_) | LoaderProgram::OwnKeys(_) => OWN.into(),
            LoaderProgram::Grub { .. } => installation.grub_program(),
            LoaderProgram::Shim(_) => installation.shim_program(),
        }
    }

    /// The program that the firmware starts, where there is one for UEFI.
    pub fn content(&self) -> Option<Content> {
        match self {
            LoaderProgram::SystemdBoot(program) => Some(Content::Store(program.clone())),
            LoaderProgram::Grub { efi } => efi.clone().map(Content::Bytes),
            LoaderProgram::Shim(chain) => Some(Content::Store(chain.shim.clone())),
            LoaderProgram::OwnKeys(program) => Some(Content::Signed(program.clone())),
        }
    }

    /// The program that shim starts, where there is one.
    pub(crate) fn second(&self) -> Option<Content> {
        match self {
            LoaderProgram::Shim(chain) => Some(Content::Store(chain.loader.clone())),
            LoaderProgram::SystemdBoot(_) | LoaderProgram::OwnKeys(_) | LoaderProgram::Grub { .. } => None,
        }
    }

    /// The programs as files of the EFI system partition.
    pub(crate) fn files(&self, installation: Installation) -> Result<Vec<BootFile>, SetError> {
        let mut files = Vec::new();
        let mut put = |path: &str, content: Content, role| {
            files.push(BootFile { place: Place::Esp, path: path.into(), content, role });
        };
        match self {
            LoaderProgram::SystemdBoot(program) => {
                put(OWN, Content::Store(program.clone()), Role::Program);
                put(REMOVABLE, Content::Store(program.clone()), Role::Program);
            }
            LoaderProgram::OwnKeys(program) => {
                put(OWN, Content::Signed(program.clone()), Role::Program);
                put(REMOVABLE, Content::Signed(program.clone()), Role::Program);
            }
            LoaderProgram::Grub { efi: None } => {}
            LoaderProgram::Grub { efi: Some(efi) } => {
                put(&installation.grub_program(), Content::Bytes(efi.clone()), Role::Program);
                put(REMOVABLE, Content::Bytes(efi.clone()), Role::Program);
            }
            LoaderProgram::Shim(ShimChain { shim, loader, keys, grub }) => {
                let own = [installation.shim_program(), installation.grub_program(), installation.keys_program()];
                for [first, second, asks] in
                    [[REMOVABLE, REMOVABLE_SECOND, REMOVABLE_KEYS], [&own[0], &own[1], &own[2]]]
                {
                    put(first, Content::Store(shim.clone()), Role::Program);
                    put(second, Content::Store(loader.clone()), Role::SecondStage);
                    put(asks, Content::Store(keys.clone()), Role::SecondStage);
                }
                match grub {
                    // An entry of the firmware's from before shim goes on to start it.
                    None => put(OWN, Content::Store(loader.clone()), Role::Program),
                    Some(script) => {
                        let bytes = one_sector(SIGNED_GRUB_READS, script)?;
                        put(SIGNED_GRUB_READS, Content::Bytes(bytes), Role::Stub);
                    }
                }
            }
        }
        Ok(files)
    }
}

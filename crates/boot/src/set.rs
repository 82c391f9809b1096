//! From generations and settings to the files of the boot partition.

use std::collections::BTreeMap;

use bootloader_templates::TemplateError;
use bootloader_templates::systemd_boot::{Entry, LoaderConf};
use uuid::Uuid;

use crate::generation::{Artifact, Generation, hex};

/// Which installation the files belong to. Everything of ours on a shared boot partition carries this mark, so that
/// two installations live side by side and only our own files are ever touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation(Uuid);

impl Installation {
    /// The installation that this seed makes.
    pub fn of_seed(seed: Uuid) -> Installation {
        Installation(Uuid::new_v5(&seed, b"installation"))
    }

    /// Eight hex digits, for names of files. (systemd-boot matches entry names in lower case only.)
    pub fn mark(&self) -> String {
        hex(&self.0.as_bytes()[..4])
    }
}

/// What the machine file says about the boot menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Seconds that the menu is shown.
    pub timeout: u32,
}

/// Which partition a file belongs on. On a disk without XBOOTLDR both are the ESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The EFI system partition.
    Esp,
    /// XBOOTLDR where there is one, else the ESP.
    Boot,
}

/// Where a file's contents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Text(String),
    /// A file of the store.
    Store(Artifact),
    /// The boot loader's program.
    Loader,
}

/// One file of the boot set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// The partition.
    pub place: Place,
    /// The path on it, without a leading slash.
    pub path: String,
    /// What is in it.
    pub content: Content,
}

/// Everything that a boot partition must hold, sorted by partition and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSet {
    /// The files.
    pub files: Vec<BootFile>,
}

/// Why there is no boot set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// Without a generation the menu would be empty.
    #[error("there is no generation to boot")]
    Empty,
    /// Two generations with one number.
    #[error("generation {0} is there twice")]
    Twice(u64),
    /// A value that the loader's files cannot carry.
    #[error("writing the menu entry of generation {number}")]
    Entry {
        /// The generation.
        number: u64,
        /// Why.
        source: TemplateError,
    },
    /// The loader's own configuration.
    #[error("writing the boot loader's configuration")]
    Loader(#[source] TemplateError),
}

impl BootSet {
    /// The boot set of these generations for systemd-boot.
    ///
    /// Kernels and initrds are named by their contents and shared between generations. An entry's name carries the
    /// generation's number and a hash of what it starts, so that a number that is used again is never taken for the
    /// old one.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn systemd_boot(
        installation: Installation,
        settings: &Settings,
        generations: &[Generation],
    ) -> Result<BootSet, SetError> {
        if generations.is_empty() {
            return Err(SetError::Empty);
        }
        let mut files = BTreeMap::new();
        let mut put = |place, path: String, content| {
            files.insert((place, path), content);
        };
        put(Place::Esp, "EFI/BOOT/BOOTX64.EFI".into(), Content::Loader);
        put(Place::Esp, "EFI/systemd/systemd-bootx64.efi".into(), Content::Loader);
        let conf = LoaderConf { timeout: settings.timeout }.render().map_err(SetError::Loader)?;
        put(Place::Esp, "loader/loader.conf".into(), Content::Text(conf));
        // What `bootctl` writes to say that the entries are of type #1.
        put(Place::Boot, "loader/entries.srel".into(), Content::Text("type1\n".into()));

        let folder = format!("cairn/{}", installation.mark());
        let mut seen = Vec::new();
        for generation in generations {
            let number = generation.number;
            if seen.contains(&number) {
                return Err(SetError::Twice(number));
            }
            seen.push(number);
            let kernel = format!("{folder}/{}-linux", generation.kernel.short_hash());
            put(Place::Boot, kernel.clone(), Content::Store(generation.kernel.clone()));
            let initrd = generation.initrd.as_ref().map(|initrd| {
                let path = format!("{folder}/{}-initrd", initrd.short_hash());
                put(Place::Boot, path.clone(), Content::Store(initrd.clone()));
                path
            });
            let text =
                entry(generation, &kernel, initrd).render().map_err(|source| SetError::Entry { number, source })?;
            let name = format!("cairn-{}-{number}-{}.conf", installation.mark(), system_hash(generation));
            put(Place::Boot, format!("loader/entries/{name}"), Content::Text(text));
        }
        let files = files.into_iter().map(|((place, path), content)| BootFile { place, path, content }).collect();
        Ok(BootSet { files })
    }
}

/// The start of the hash in the system's store path.
fn system_hash(generation: &Generation) -> String {
    let path = generation.bootspec.toplevel.0.display().to_string();
    path.rsplit('/').next().unwrap_or_default().chars().take(8).collect()
}

fn entry(generation: &Generation, kernel: &str, initrd: Option<String>) -> Entry {
    let spec = &generation.bootspec;
    let mut options = vec![format!("init={}", spec.init.display())];
    options.extend(spec.kernel_params.iter().cloned());
    Entry {
        title: format!(
            "{}, generation {} (Linux {}, {})",
            generation.name, generation.number, generation.kernel_release, generation.date
        ),
        version: generation.number.to_string(),
        sort_key: "cairn".into(),
        linux: format!("/{kernel}"),
        initrd: initrd.map(|path| format!("/{path}")),
        options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootspec::SystemConfigurationRoot;
    use bootspec::v1::BootSpecV1;

    fn artifact(path: &str, byte: u8) -> Artifact {
        Artifact { store_path: format!("/nix/store/{path}"), sha256: [byte; 32], size: 10 }
    }

    fn generation(number: u64, system: &str, kernel: u8) -> Generation {
        Generation {
            number,
            bootspec: BootSpecV1 {
                label: "hello".into(),
                kernel: "/nix/store/k/vmlinuz".into(),
                kernel_params: vec!["root=UUID=1".into(), "quiet".into()],
                init: format!("/nix/store/{system}/init").into(),
                initrd: Some("/nix/store/i/initrd".into()),
                initrd_secrets: None,
                system: "x86_64-linux".into(),
                toplevel: SystemConfigurationRoot(format!("/nix/store/{system}").into()),
            },
            name: "hello".into(),
            date: "2026-11-15".into(),
            kernel_release: "6.12.107".into(),
            kernel: artifact("k/vmlinuz", kernel),
            initrd: Some(artifact("i/initrd", 7)),
        }
    }

    fn set(generations: &[Generation]) -> Result<BootSet, SetError> {
        let seed = Uuid::from_bytes([9; 16]);
        BootSet::systemd_boot(Installation::of_seed(seed), &Settings { timeout: 3 }, generations)
    }

    fn paths(set: &BootSet) -> Vec<&str> {
        set.files.iter().map(|f| f.path.as_str()).collect()
    }

    #[test]
    fn one_generation_is_an_entry_a_kernel_and_an_initrd() {
        let set = set(&[generation(1, "abcdefghijk-system", 5)]).unwrap();
        let mark = Installation::of_seed(Uuid::from_bytes([9; 16])).mark();
        let k = "05".repeat(16);
        let i = "07".repeat(16);
        assert_eq!(
            paths(&set),
            [
                "EFI/BOOT/BOOTX64.EFI",
                "EFI/systemd/systemd-bootx64.efi",
                "loader/loader.conf",
                &format!("cairn/{mark}/{k}-linux"),
                &format!("cairn/{mark}/{i}-initrd"),
                "loader/entries.srel",
                &format!("loader/entries/cairn-{mark}-1-abcdefgh.conf"),
            ]
        );
        let Content::Text(entry) = &set.files[6].content else { panic!("an entry is text") };
        assert!(entry.contains("options init=/nix/store/abcdefghijk-system/init root=UUID=1 quiet\n"), "{entry}");
    }

    #[test]
    fn generations_with_the_same_kernel_share_it() {
        let both = set(&[generation(1, "aaaaaaaaa-system", 5), generation(2, "bbbbbbbbb-system", 5)]).unwrap();
        assert_eq!(paths(&both).iter().filter(|p| p.ends_with("-linux")).count(), 1);
        let other = set(&[generation(1, "aaaaaaaaa-system", 5), generation(2, "bbbbbbbbb-system", 6)]).unwrap();
        assert_eq!(paths(&other).iter().filter(|p| p.ends_with("-linux")).count(), 2);
    }

    #[test]
    fn the_order_of_the_generations_changes_nothing() {
        let (one, two) = (generation(1, "aaaaaaaaa-system", 5), generation(2, "bbbbbbbbb-system", 6));
        assert_eq!(set(&[one.clone(), two.clone()]).unwrap(), set(&[two, one]).unwrap());
    }

    #[test]
    fn no_generation_and_a_number_twice_are_refused() {
        assert!(matches!(set(&[]), Err(SetError::Empty)));
        let one = generation(1, "aaaaaaaaa-system", 5);
        assert!(matches!(set(&[one.clone(), one]), Err(SetError::Twice(1))));
    }

    #[test]
    fn names_are_lower_case_except_the_firmware_own() {
        for path in paths(&set(&[generation(1, "abcdefghijk-system", 5)]).unwrap()) {
            assert!(path.starts_with("EFI/") || path == path.to_lowercase(), "{path}");
        }
    }
}

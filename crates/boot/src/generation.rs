//! One generation as the boot partition sees it.

use bootspec::v1::BootSpecV1;

/// A file of the store that goes to the boot partition: a kernel, an initrd or a device tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its path in the store, as the bootspec names it.
    pub store_path: String,
    /// SHA-256 of its contents.
    pub sha256: [u8; 32],
    /// Bytes.
    pub size: u64,
}

impl Artifact {
    /// The first 128 bits of the hash in hex: enough to name a file by its contents.
    pub(crate) fn short_hash(&self) -> String {
        hex(&self.sha256[..16])
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A generation: a number and a system.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The number N of `system-N-link`.
    pub number: u64,
    /// The system's bootspec.
    pub bootspec: BootSpecV1,
    /// The machine's name, for the menu.
    pub name: String,
    /// When it was made, for the menu, as `YYYY-MM-DD`.
    pub date: String,
    /// The kernel's release, for the menu, where somebody has written it down.
    pub kernel_release: Option<String>,
    /// The kernel.
    pub kernel: Artifact,
    /// The initrd, if there is one.
    pub initrd: Option<Artifact>,
    /// The device tree that the loader gives to the kernel, if there is one.
    pub device_tree: Option<Artifact>,
    /// Variants of the system, each with an entry of its own below the generation's.
    pub variants: Vec<Variant>,
}

/// A variant of a generation; NixOS calls it a specialisation.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its bootspec.
    pub bootspec: BootSpecV1,
    /// Its kernel.
    pub kernel: Artifact,
    /// Its initrd, if there is one.
    pub initrd: Option<Artifact>,
    /// Its device tree, if there is one.
    pub device_tree: Option<Artifact>,
}

/// What a word of a kernel's command line takes in memory besides its text.
const WORD: usize = 64;

impl Generation {
    /// About how many bytes it takes in memory, and in a menu: mostly what its bootspecs say. Whoever keeps many, of a disk that
    /// may be anybody's, counts them by it.
    pub fn size(&self) -> usize {
        let of = |spec: &BootSpecV1| {
            let words = spec.kernel_params.iter().map(|word| word.len() + WORD).sum::<usize>();
            let paths = [&spec.kernel, &spec.init, &spec.toplevel.0].into_iter().chain(&spec.initrd);
            let paths = paths.chain(&spec.initrd_secrets).map(|path| path.as_os_str().len()).sum::<usize>();
            words + 2 * paths + spec.label.len() + spec.system.len() + 8 * WORD
        };
        let variants = self.variants.iter().map(|one| one.name.len() + of(&one.bootspec)).sum::<usize>();
        self.name.len() + self.kernel_release.as_ref().map_or(0, String::len) + of(&self.bootspec) + variants
    }

    /// The line in the menu.
    pub fn title(&self) -> String {
        let Generation { name, number, date, .. } = self;
        match &self.kernel_release {
            Some(release) => format!("{name}, generation {number} (Linux {release}, {date})"),
            None => format!("{name}, generation {number} ({date})"),
        }
    }

    /// The kernel's command line, one parameter each: `init=` names the system, `cairn.generation=` the number. While a
    /// generation has not booted well, `cairn.trial` makes everything that goes wrong end in a reboot.
    pub fn command_line(&self, trial: bool) -> Vec<String> {
        self.command_line_of(&self.bootspec, trial)
    }

    /// The command line of one of its variants.
    pub fn variant_line(&self, variant: &Variant, trial: bool) -> Vec<String> {
        self.command_line_of(&variant.bootspec, trial)
    }

    fn command_line_of(&self, bootspec: &BootSpecV1, trial: bool) -> Vec<String> {
        let mut line = vec![format!("init={}", bootspec.init.display())];
        line.extend(bootspec.kernel_params.iter().cloned());
        line.push(format!("cairn.generation={}", self.number));
        if trial {
            line.push("cairn.trial".into());
        }
        line
    }
}

impl Variant {
    /// The name as it can stand in names of files and entries: letters, digits and `-_.+`.
    pub(crate) fn id(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        self.name.chars().map(|c| if plain(c) { c } else { '-' }).collect()
    }
}

/// The day of a moment (seconds since 1970, UTC) for the menu: `2026-11-15`.
pub fn date(epoch: i64) -> String {
    // Days from 1 March of year 0, so that the leap day is a year's last one.
    let days = epoch.div_euclid(86_400) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (year + era * 400 + i64::from(month >= 10), if month < 10 { month + 3 } else { month - 9 });
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn artifact() -> Artifact {
        Artifact { store_path: String::new(), sha256: [0; 32], size: 0 }
    }

    fn empty() -> Generation {
        let bootspec = BootSpecV1 {
            label: String::new(),
            kernel: PathBuf::new(),
            kernel_params: Vec::new(),
            init: PathBuf::new(),
            initrd: None,
            initrd_secrets: None,
            system: String::new(),
            toplevel: bootspec::SystemConfigurationRoot(PathBuf::new()),
        };
        Generation {
            number: 1,
            bootspec,
            name: String::new(),
            date: String::new(),
            kernel_release: None,
            kernel: artifact(),
            initrd: None,
            device_tree: None,
            variants: Vec::new(),
        }
    }

    #[test]
    fn what_a_generation_takes_grows_with_all_that_it_says() {
        let text = "x".repeat(1000);
        let more = |change: &dyn Fn(&mut Generation)| {
            let mut generation = empty();
            change(&mut generation);
            generation.size() - empty().size()
        };
        assert_eq!(empty().size(), 8 * WORD);
        assert_eq!(more(&|g| g.name = text.clone()), 1000);
        assert_eq!(more(&|g| g.kernel_release = Some(text.clone())), 1000);
        assert_eq!(more(&|g| g.bootspec.label = text.clone()), 1000);
        assert_eq!(more(&|g| g.bootspec.system = text.clone()), 1000);
        assert_eq!(more(&|g| g.bootspec.kernel_params = vec![text.clone(), text.clone()]), 2 * (1000 + WORD));
        // In a menu a path stands once more.
        assert_eq!(more(&|g| g.bootspec.kernel = PathBuf::from(&text)), 2000);
        assert_eq!(more(&|g| g.bootspec.init = PathBuf::from(&text)), 2000);
        assert_eq!(more(&|g| g.bootspec.toplevel.0 = PathBuf::from(&text)), 2000);
        assert_eq!(more(&|g| g.bootspec.initrd = Some(PathBuf::from(&text))), 2000);
        assert_eq!(more(&|g| g.bootspec.initrd_secrets = Some(PathBuf::from(&text))), 2000);
        let variant = || {
            let bootspec = BootSpecV1 { label: text.clone(), ..empty().bootspec };
            Variant { name: text.clone(), bootspec, kernel: artifact(), initrd: None, device_tree: None }
        };
        assert_eq!(more(&|g| g.variants = vec![variant()]), 2000 + 8 * WORD);
        assert_eq!(more(&|g| g.variants = vec![variant(), variant()]), 2 * (2000 + 8 * WORD));
    }

    #[test]
    fn a_title_says_what_is_known() {
        let named = Generation { number: 7, name: "NixOS 25.11".into(), date: "2026-11-29".into(), ..empty() };
        assert_eq!(named.title(), "NixOS 25.11, generation 7 (2026-11-29)");
        let known = Generation { kernel_release: Some("6.12.1".into()), ..named };
        assert_eq!(known.title(), "NixOS 25.11, generation 7 (Linux 6.12.1, 2026-11-29)");
    }

    #[test]
    fn each_day_of_eight_hundred_years_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1600_i64, 1, 1);
        let first = -135_140; // days before 1970
        for number in first..first + 2 * 146_097 + 1 {
            assert_eq!(date(number * 86_400), format!("{year:04}-{month:02}-{day:02}"));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!((year, month, day), (2400, 1, 2));
    }

    #[test]
    fn a_moment_is_a_day() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(1_709_251_199), "2024-02-29");
        assert_eq!(date(1_709_251_200), "2024-03-01");
        assert_eq!(date(-1), "1969-12-31");
    }
}

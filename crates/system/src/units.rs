//! systemd units: which there are, and what enabling one means ([Install] in systemd.unit(5)). Pure.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::install::{BadWord, Install, is_unit_name};
pub use cairn_machine::model::unit_name as full_name;

/// A unit that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitFile {
    /// A file: the folder where the running system finds it, and its text.
    File {
        /// `/usr/lib/systemd/system` or `/etc/systemd/system`.
        folder: &'static str,
        /// The text.
        text: String,
    },
    /// Another name for a unit; `None` if it leads to /dev/null.
    Alias(Option<String>),
}

/// All units of a system by name.
#[derive(Debug, Default, Clone)]
pub struct Units {
    /// Their files.
    pub files: BTreeMap<String, UnitFile>,
    /// Units that others of the packages start without being asked (links below `/usr/lib/systemd/system`).
    pub wanted: BTreeSet<String>,
}

/// A link to make: its path below `/etc/systemd/system`, and its target.
pub type UnitLink = (String, String);

/// What [`Units::enable`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotEnabled {
    /// There is no such unit.
    Unknown,
    /// The unit is masked by its package.
    Masked,
    /// A template without an instance's name.
    Template,
    /// The unit's `[Install]` names something that is no unit.
    BadWord {
        /// The unit, which need not be the one that was asked for.
        unit: String,
        /// What it says.
        word: BadWord,
    },
}

impl Units {
    /// Units of these files alone.
    pub fn of(files: impl Into<BTreeMap<String, UnitFile>>) -> Units {
        Units { files: files.into(), wanted: BTreeSet::new() }
    }

    /// The names, for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The name of the unit's file, aliases followed, and the file.
    fn find(&self, name: &str) -> Result<(String, &'static str, &str), NotEnabled> {
        let mut name = name.to_string();
        for _ in 0..8 {
            let file = match name.split_once('@') {
                Some((prefix, rest)) if !self.files.contains_key(&name) => {
                    let kind = rest.rsplit_once('.').map_or("", |(_, kind)| kind);
                    format!("{prefix}@.{kind}")
                }
                _ => name.clone(),
            };
            match self.files.get(&file) {
                None => return Err(NotEnabled::Unknown),
                Some(UnitFile::Alias(None)) => return Err(NotEnabled::Masked),
                Some(UnitFile::Alias(Some(target))) => name.clone_from(target),
                Some(UnitFile::File { folder, text }) => return Ok((file, folder, text)),
            }
        }
        Err(NotEnabled::Unknown)
    }

    /// True if there is such a unit, masked or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !matches!(self.find(&full_name(name)), Err(NotEnabled::Unknown))
    }

    /// The unit's own name, where `name` is another name for it.
    #[must_use]
    pub fn real_name(&self, name: &str) -> String {
        let name = full_name(name);
        match self.files.get(&name) {
            Some(UnitFile::Alias(Some(target))) => target.clone(),
            _ => name,
        }
    }

    /// The units that start this one when something happens: a socket, a timer, a path (systemd.socket(5) and the like). Each by
    /// its own name.
    pub fn triggers(&self, name: &str) -> Vec<&str> {
        let name = self.real_name(name);
        let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
        let starts_it = |(trigger, file): (&String, &UnitFile)| {
            let UnitFile::File { text, .. } = file else { return false };
            let Some((of, kind)) = trigger.rsplit_once('.') else { return false };
            let key = match kind {
                "socket" => "Service",
                "timer" | "path" => "Unit",
                _ => return false,
            };
            match text.lines().filter_map(|line| line.split_once('=')).find(|(word, _)| word.trim() == key) {
                Some((_, unit)) => self.real_name(unit.trim()) == name,
                None => of == stem && name.ends_with(".service"),
            }
        };
        self.files.iter().filter(|entry| starts_it(*entry)).map(|(trigger, _)| trigger.as_str()).collect()
    }

    /// The links that enabling a unit makes, sorted; as `systemctl enable`.
    ///
    /// # Errors
    /// See [`NotEnabled`].
    pub fn enable(&self, name: &str) -> Result<BTreeSet<UnitLink>, NotEnabled> {
        let (mut links, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting = self.enable_one(&full_name(name), &mut links, &mut seen)?;
        while let Some(also) = waiting.pop() {
            match self.enable_one(&also, &mut links, &mut seen) {
                Ok(more) => waiting.extend(more),
                Err(bad @ NotEnabled::BadWord { .. }) => return Err(bad),
                // What a package names and does not have is no reason to refuse; systemctl does not either.
                Err(NotEnabled::Unknown | NotEnabled::Masked | NotEnabled::Template) => {}
            }
        }
        Ok(links)
    }

    /// Adds the links of one unit; gives the units that are enabled with it.
    fn enable_one(
        &self,
        name: &str,
        links: &mut BTreeSet<UnitLink>,
        seen: &mut BTreeSet<String>,
    ) -> Result<Vec<String>, NotEnabled> {
        if !is_unit_name(name) {
            return Err(NotEnabled::Unknown);
        }
        let (file, folder, text) = self.find(name)?;
        let install = Install::of(text);
        let bad = |word| NotEnabled::BadWord { unit: file.clone(), word };
        // Enabled under its own name, but an instance under the instance's.
        let name = if file.contains("@.") { name.to_string() } else { file.clone() };
        let name = install.name_of(&name).map_err(bad)?.ok_or(NotEnabled::Template)?;
        if !seen.insert(name.clone()) {
            return Ok(Vec::new());
        }
        let enabled = install.enabled(&name).map_err(bad)?;
        let target = format!("{folder}/{file}");
        links.extend(enabled.links.into_iter().map(|path| (path, target.clone())));
        Ok(enabled.also)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(list: &[(&str, &str)]) -> Units {
        let file = |text: &str| match text.strip_prefix("-> ") {
            Some("/dev/null") => UnitFile::Alias(None),
            Some(target) => UnitFile::Alias(Some(target.into())),
            None => UnitFile::File { folder: "/usr/lib/systemd/system", text: text.into() },
        };
        Units::of(list.iter().map(|(name, text)| (name.to_string(), file(text))).collect::<BTreeMap<_, _>>())
    }

    fn enabled(units: &Units, name: &str) -> Vec<String> {
        units.enable(name).unwrap().into_iter().map(|(path, target)| format!("{path} -> {target}")).collect()
    }

    #[test]
    fn a_service_is_wanted_aliased_and_brings_its_friends() {
        let units = units(&[
            (
                "net.service",
                "[Service]\nWantedBy=no.target\n[Install]\n# x\nWantedBy=a.target \\\n b.target\nAlias=n.service\nAlso=net.socket gone",
            ),
            ("net.socket", "[Install]\nRequiredBy=sockets.target\nAlso=net.service\n"),
        ]);
        assert_eq!(
            enabled(&units, "net"),
            [
                "a.target.wants/net.service -> /usr/lib/systemd/system/net.service",
                "b.target.wants/net.service -> /usr/lib/systemd/system/net.service",
                "n.service -> /usr/lib/systemd/system/net.service",
                "sockets.target.requires/net.socket -> /usr/lib/systemd/system/net.socket",
            ]
        );
    }

    #[test]
    fn an_instance_is_enabled_under_its_own_name() {
        let units = units(&[
            ("getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"),
            ("plain@.service", "[Install]\nWantedBy=%i.target\n"),
        ]);
        let link = "getty.target.wants/getty@tty3.service -> /usr/lib/systemd/system/getty@.service";
        assert_eq!(enabled(&units, "getty@tty3"), [link]);
        assert_eq!(enabled(&units, "getty@.service"), [link.replace("tty3", "tty1")]);
        assert_eq!(
            enabled(&units, "plain@x"),
            ["x.target.wants/plain@x.service -> /usr/lib/systemd/system/plain@.service"]
        );
        assert_eq!(units.enable("plain@"), Err(NotEnabled::Template));
    }

    #[test]
    fn aliases_are_followed_and_what_is_not_there_is_told() {
        let units = units(&[
            ("ssh.service", "[Install]\nWantedBy=multi-user.target\n"),
            ("sshd.service", "-> ssh.service"),
            ("off.service", "-> /dev/null"),
        ]);
        assert_eq!(
            enabled(&units, "sshd"),
            ["multi-user.target.wants/ssh.service -> /usr/lib/systemd/system/ssh.service"]
        );
        assert_eq!(units.enable("off"), Err(NotEnabled::Masked));
        assert_eq!(units.enable("nothing"), Err(NotEnabled::Unknown));
        assert_eq!(units.enable("nothing@1"), Err(NotEnabled::Unknown));
        assert_eq!(units.real_name("sshd"), "ssh.service");
    }

    #[test]
    fn what_starts_a_unit_is_known_by_its_name_or_by_what_it_says() {
        let units = units(&[
            ("iscsid.service", "[Service]"),
            ("iscsid.socket", "[Socket]\nListenStream=@ISCSIADM"),
            ("open-iscsi.service", "-> iscsid.service"),
            ("poll.timer", "[Timer]\nOnCalendar=daily\n Unit = open-iscsi.service"),
            ("other.path", "[Path]\nUnit=other.service"),
            ("iscsid.path", "[Path]\nUnit=other.service"),
            ("iscsid.target", "[Unit]"),
        ]);
        assert_eq!(units.triggers("open-iscsi"), ["iscsid.socket", "poll.timer"]);
        assert_eq!(units.triggers("iscsid.target"), [""; 0]);
    }

    #[test]
    fn a_word_that_names_no_unit_is_told_with_the_unit_that_has_it() {
        let units = units(&[
            ("good.service", "[Install]\nWantedBy=multi-user.target\nAlso=bad.socket\n"),
            ("bad.socket", "[Install]\nWantedBy=../../../../victim/sockets.target\n"),
            ("x@.service", "[Install]\nWantedBy=a.target\nDefaultInstance=../../z\n"),
        ]);
        for (name, unit, key) in [
            ("good", "bad.socket", "WantedBy"),
            ("bad.socket", "bad.socket", "WantedBy"),
            ("x@", "x@.service", "DefaultInstance"),
        ] {
            match units.enable(name) {
                Err(NotEnabled::BadWord { unit: found, word }) => assert_eq!((&*found, word.key), (unit, key)),
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(units.enable("x@../../y.service"), Err(NotEnabled::Unknown));
        assert_eq!(units.enable("../good"), Err(NotEnabled::Unknown));
    }

    #[test]
    fn a_chain_of_very_many_units_is_enabled_without_a_deep_stack() {
        let name = |i: usize| format!("u{i}.service");
        let text = |i: usize| format!("[Install]\nWantedBy=a.target\nAlso={}\n", name(i + 1));
        let file = |i| UnitFile::File { folder: "/etc/systemd/system", text: text(i) };
        let units = Units::of((0..100_000).map(|i| (name(i), file(i))).collect::<BTreeMap<_, _>>());
        assert_eq!(units.enable("u0").unwrap().len(), 100_000);
    }
}

//! systemd units: which there are, and what enabling one means ([Install] in systemd.unit(5)). Pure.

use std::collections::{BTreeMap, BTreeSet};

/// The kinds of units, as their names end.
const KINDS: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

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
pub struct Units(pub BTreeMap<String, UnitFile>);

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
}

/// What `[Install]` says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    upheld_by: Vec<String>,
    aliases: Vec<String>,
    also: Vec<String>,
    default_instance: Option<String>,
}

/// A unit's full name: without an ending, it is a service.
#[must_use]
pub fn full_name(name: &str) -> String {
    if KINDS.iter().any(|kind| name.ends_with(kind)) { name.to_string() } else { format!("{name}.service") }
}

/// Reads the `[Install]` section of a unit's text.
#[must_use]
pub fn install(text: &str) -> Install {
    let mut install = Install::default();
    let mut inside = false;
    // A line that ends in a backslash goes on in the next one.
    for line in text.replace("\\\n", " ").lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) else {
            continue;
        };
        let mut words = value.split_ascii_whitespace().map(str::to_string);
        let list = match key.trim() {
            "WantedBy" => &mut install.wanted_by,
            "RequiredBy" => &mut install.required_by,
            "UpheldBy" => &mut install.upheld_by,
            "Alias" => &mut install.aliases,
            "Also" => &mut install.also,
            "DefaultInstance" => {
                install.default_instance = words.next_back();
                continue;
            }
            _ => continue,
        };
        // An empty value takes back what came before.
        if value.trim().is_empty() { list.clear() } else { list.extend(words) }
    }
    install
}

impl Units {
    /// The names, for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The name of the unit's file, aliases followed, and the file.
    fn find(&self, name: &str) -> Result<(String, &'static str, &str), NotEnabled> {
        let mut name = name.to_string();
        for _ in 0..8 {
            let file = match name.split_once('@') {
                Some((prefix, rest)) if !self.0.contains_key(&name) => {
                    let kind = rest.rsplit_once('.').map_or("", |(_, kind)| kind);
                    format!("{prefix}@.{kind}")
                }
                _ => name.clone(),
            };
            match self.0.get(&file) {
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
        match self.0.get(&name) {
            Some(UnitFile::Alias(Some(target))) => target.clone(),
            _ => name,
        }
    }

    /// The links that enabling a unit makes, sorted; as `systemctl enable`.
    ///
    /// # Errors
    /// See [`NotEnabled`].
    pub fn enable(&self, name: &str) -> Result<BTreeSet<UnitLink>, NotEnabled> {
        let mut links = BTreeSet::new();
        self.enable_into(&full_name(name), &mut links, &mut BTreeSet::new())?;
        Ok(links)
    }

    fn enable_into(
        &self,
        name: &str,
        links: &mut BTreeSet<UnitLink>,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), NotEnabled> {
        let (file, folder, text) = self.find(name)?;
        let install = install(text);
        // Enabled under its own name, but an instance under the instance's.
        let mut name = if file.contains("@.") { name.to_string() } else { file.clone() };
        if name.contains("@.") {
            let instance = install.default_instance.as_deref().ok_or(NotEnabled::Template)?;
            name = name.replacen('@', &format!("@{instance}"), 1);
        }
        if !seen.insert(name.clone()) {
            return Ok(());
        }
        let target = format!("{folder}/{file}");
        let expand = |word: &String| expand(word, &name);
        for (list, kind) in
            [(&install.wanted_by, "wants"), (&install.required_by, "requires"), (&install.upheld_by, "upholds")]
        {
            links.extend(list.iter().map(|by| (format!("{}.{kind}/{name}", expand(by)), target.clone())));
        }
        links.extend(install.aliases.iter().map(expand).filter(|a| *a != name).map(|a| (a, target.clone())));
        for also in &install.also {
            // What a package names and does not have is no reason to refuse; systemctl does not either.
            match self.enable_into(&full_name(&expand(also)), links, seen) {
                Ok(()) | Err(NotEnabled::Unknown | NotEnabled::Masked | NotEnabled::Template) => {}
            }
        }
        Ok(())
    }
}

/// The specifiers that make sense in `[Install]`.
fn expand(word: &str, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let pairs = [("%i", instance), ("%I", instance), ("%p", prefix), ("%P", prefix), ("%n", name), ("%N", stem)];
    pairs.iter().fold(word.to_string(), |word, (specifier, value)| word.replace(specifier, value)).replace("%%", "%")
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
        Units(list.iter().map(|(name, text)| (name.to_string(), file(text))).collect())
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
    fn an_empty_value_takes_back_what_came_before() {
        assert_eq!(install("[Install]\nWantedBy=a\nWantedBy=\nWantedBy=b\n").wanted_by, ["b"]);
    }
}

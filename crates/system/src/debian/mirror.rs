//! Where packages come from: the machine file's mirror, or the one that this machine's own apt uses.

use std::fs;
use std::path::Path;

use cairn_machine::model::Machine;
use cairn_process::Tool;

use super::error::Error;

/// The keys that sign Debian's archive, as the package debian-archive-keyring installs them.
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Suites that have no security and updates suites beside them.
const ROLLING: [&str; 4] = ["sid", "unstable", "experimental", "rc-buggy"];

/// The archives that hold a machine's packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    /// The archive's URI without a slash at the end.
    pub(super) main: String,
    /// The URI of the archive of security updates.
    pub(super) security: Option<String>,
    /// The machine file names it.
    pub(super) given: bool,
}

impl Mirror {
    /// The mirror for a machine.
    ///
    /// A mirror in the machine file is taken as it is: only the suite itself is read from it, and a snapshot may be as
    /// old as it likes. Without one, the suite's updates and security suites count as well.
    pub(super) fn of(machine: &Machine) -> Result<Mirror, Error> {
        if let Some(uri) = &machine.source.debian().mirror {
            return given(uri);
        }
        let asked = Tool::new("apt-get", "apt", "find this machine's Debian mirror")
            .args(["indextargets", "--format", "$(CREATED_BY)|$(ORIGIN)|$(RELEASE)|$(REPO_URI)"])
            .clean_env()
            .output()?;
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        if let Some(mirror) = from_index_targets(&String::from_utf8_lossy(&asked), &os_release) {
            return Ok(mirror);
        }
        // A machine with another distribution, or with no sources: mmdebstrap knows Debian's own.
        let mmdebstrap = Tool::new("mmdebstrap", "mmdebstrap", "make a base of Debian packages").check()?;
        let text = fs::read(&mmdebstrap).map_err(Error::io("reading", mmdebstrap))?;
        from_mmdebstrap(&String::from_utf8_lossy(&text)).ok_or(Error::NoMirror)
    }

    /// The lines of a sources.list.
    pub(super) fn sources(&self, suite: &str, components: &[String], architecture: &str) -> String {
        let components = components.join(" ");
        let line = |uri: &str, suite: &str| {
            format!("deb [arch={architecture} signed-by={KEYRING}] {uri} {suite} {components}\n")
        };
        let mut list = line(&self.main, suite);
        if !self.given && !ROLLING.contains(&suite) {
            list += &line(&self.main, &format!("{suite}-updates"));
            if let Some(security) = &self.security {
                list += &line(security, &format!("{suite}-security"));
            }
        }
        list
    }

    /// The URIs at which a file of the archive may be, the likeliest first.
    ///
    /// The archive of security updates has its files below `pool/updates/`; sooner or later most of them move into the
    /// main archive, below `pool/`.
    pub(super) fn uris(&self, filename: &str) -> Vec<String> {
        match filename.strip_prefix("pool/updates/") {
            None => vec![format!("{}/{filename}", self.main)],
            Some(rest) => {
                let mut uris: Vec<String> = self.security.iter().map(|s| format!("{s}/{filename}")).collect();
                uris.push(format!("{}/pool/{rest}", self.main));
                uris
            }
        }
    }

    /// Says no when the keys are missing.
    pub(super) fn check_keyring() -> Result<(), Error> {
        let path = Path::new(KEYRING);
        if path.exists() { Ok(()) } else { Err(Error::NoKeyring { path: path.into() }) }
    }
}

fn given(uri: &str) -> Result<Mirror, Error> {
    const SCHEMES: [&str; 5] = ["http://", "https://", "file:/", "copy:/", "ftp://"];
    const WHAT: &str = "a mirror's URI (http://, https://, file:/ or copy:/, with no blank in it)";
    let uri = uri.trim_end_matches('/');
    let plain = uri.chars().all(|c| c.is_ascii_graphic() && !"[]'\"".contains(c));
    if !plain || !SCHEMES.iter().any(|s| uri.len() > s.len() && uri.starts_with(s)) {
        return Err(Error::BadValue { pointer: "/source/debian/mirror".into(), value: uri.into(), what: WHAT });
    }
    // apt leaves a file:// file where it is instead of copying it.
    let uri = uri.strip_prefix("file:").map_or_else(|| uri.to_string(), |path| format!("copy:{path}"));
    Ok(Mirror { security: sibling(&uri), main: uri, given: true })
}

/// Mirrors and snapshots keep security updates beside the archive, in `debian-security` instead of `debian`.
fn sibling(uri: &str) -> Option<String> {
    let at = uri.rfind("/debian").filter(|at| matches!(uri.as_bytes().get(at + 7), None | Some(b'/')))?;
    Some(format!("{}-security{}", &uri[..at + 7], &uri[at + 7..]))
}

/// The mirror that this machine's apt reads Debian from: `created-by|origin|release|uri` lines.
///
/// The origin is known once apt has read the lists. Before, the release must be the one that /etc/os-release names.
fn from_index_targets(text: &str, os_release: &str) -> Option<Mirror> {
    let value = |key: &str| {
        os_release.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).map(|v| v.trim_matches('"'))
    };
    let codename = value("ID").filter(|id| *id == "debian").and_then(|_| value("VERSION_CODENAME"));
    let (mut main, mut security) = (None, None);
    for line in text.lines() {
        let mut fields = line.splitn(4, '|');
        let (Some("Packages"), Some(origin), Some(release), Some(uri)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let plain = release.trim_end_matches("-security").trim_end_matches("-updates");
        // What apt does not know it leaves as the format had it.
        let debian = origin == "Debian" || origin == "$(ORIGIN)" && Some(plain) == codename;
        if !debian || release.ends_with("-backports") {
            continue;
        }
        let found = if release.ends_with("-security") { &mut security } else { &mut main };
        found.get_or_insert_with(|| uri.trim_end_matches('/').to_string());
    }
    main.map(|main| Mirror { security: security.or_else(|| sibling(&main)), main, given: false })
}

/// The mirrors that mmdebstrap takes when it is given none.
fn from_mmdebstrap(text: &str) -> Option<Mirror> {
    let assigned = |name: &str| {
        let line = text.lines().find(|l| l.trim_start().starts_with(name) && l.contains("://"))?;
        line.split(['\'', '"']).nth(1).map(|uri| uri.trim_end_matches('/').to_string())
    };
    let main = assigned("my $mirror")?;
    Some(Mirror { security: assigned("my $secmirror").or_else(|| sibling(&main)), main, given: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";

    fn mirror(main: &str, security: Option<&str>, given: bool) -> Mirror {
        Mirror { main: main.into(), security: security.map(Into::into), given }
    }

    #[test]
    fn the_machines_own_mirror_is_found_among_others() {
        let text = "Packages|Node Source|nodistro|https://node.example/node/\n\
                    Translations|Debian|bookworm|http://wrong.example/debian/\n\
                    Packages|Debian Backports|bookworm-backports|http://wrong.example/debian/\n\
                    Packages|Debian|bookworm|http://m.example/debian/\n\
                    Packages|Debian|bookworm-updates|http://m.example/debian/\n\
                    Packages|Debian|bookworm-security|http://s.example/debian-security/\n";
        let expected = mirror("http://m.example/debian", Some("http://s.example/debian-security"), false);
        assert_eq!(from_index_targets(text, BOOKWORM), Some(expected));
    }

    #[test]
    fn before_the_first_update_the_release_tells() {
        let text = "Packages|$(ORIGIN)|nodistro|https://node.example/node/\n\
                    Packages|$(ORIGIN)|bookworm|http://m.example/debian/\n";
        let expected = mirror("http://m.example/debian", Some("http://m.example/debian-security"), false);
        assert_eq!(from_index_targets(text, BOOKWORM), Some(expected));
        assert_eq!(from_index_targets(text, "ID=ubuntu\nVERSION_CODENAME=noble\n"), None);
    }

    #[test]
    fn mmdebstraps_own_mirror_is_the_last_resort() {
        let text =
            "    my $mirror    = 'http://m.example/debian';\n  my $secmirror = 'http://s.example/debian-security';\n";
        let expected = mirror("http://m.example/debian", Some("http://s.example/debian-security"), false);
        assert_eq!(from_mmdebstrap(text), Some(expected));
        assert_eq!(from_mmdebstrap("nothing"), None);
    }

    #[test]
    fn a_snapshot_has_its_security_archive_beside_it() {
        let m = given("https://snap.example/archive/debian/20251101T000000Z/").unwrap();
        assert_eq!(
            m.uris("pool/updates/main/o/openssl/openssl_1.deb"),
            [
                "https://snap.example/archive/debian-security/20251101T000000Z/pool/updates/main/o/openssl/openssl_1.deb",
                "https://snap.example/archive/debian/20251101T000000Z/pool/main/o/openssl/openssl_1.deb",
            ]
        );
        assert_eq!(m.sources("trixie", &["main".into()], "amd64").lines().count(), 1);
    }

    #[test]
    fn a_folder_is_copied_from() {
        let m = given("file:///srv/mirror").unwrap();
        assert_eq!(m, mirror("copy:///srv/mirror", None, true));
        assert_eq!(m.uris("pool/main/a/a.deb"), ["copy:///srv/mirror/pool/main/a/a.deb"]);
    }

    #[test]
    fn a_mirror_that_apt_would_misread_is_refused() {
        for uri in [
            "",
            "http://",
            "m.example/debian",
            "http://m.example/x\ndeb http://evil.example/ x y",
            "http://m /x",
            "[trusted=yes] http://m",
        ] {
            assert_eq!(given(uri).unwrap_err().pointer(), Some("/source/debian/mirror"), "{uri}");
        }
    }

    #[test]
    fn a_rolling_suite_has_no_security_suite() {
        let m = mirror("http://m.example/debian", Some("http://s.example/debian-security"), false);
        assert_eq!(m.sources("sid", &["main".into()], "amd64").lines().count(), 1);
        let list = m.sources("trixie", &["main".into(), "non-free-firmware".into()], "amd64");
        let suites: Vec<&str> = list.lines().map(|l| l.split(' ').nth(4).unwrap()).collect();
        assert_eq!(suites, ["trixie", "trixie-updates", "trixie-security"]);
        assert!(list.lines().all(|l| l.ends_with(" main non-free-firmware") && l.contains(KEYRING)), "{list}");
    }
}

//! What the boot partitions have for the loaders, systemd-boot's entries and GRUB's menu with its environment, as `inspect`
//! and as the commands that look at a machine read them; and what the root says of store paths.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use cairn_disk::Budget;
use cairn_observe::inspect::{Boot, BootFile, registration};
use cairn_observe::view::{BootVolume, Closures, Files, Kind, Menu, ViewError};

use super::Target;
use crate::parts::{parts, whole};

/// The menu.
pub(super) const MENU: Target = Target {
    name: "boot-menu",
    seeds: menu_seeds,
    words: &[
        "\u{1e}",
        "\n",
        " ",
        "'",
        "\\",
        ";",
        "title ",
        "linux ",
        "initrd ",
        "devicetree ",
        "options ",
        "sort-key ",
        "init=/nix/store/",
        "/init",
        "cairn.generation=",
        "18446744073709551616",
        "menuentry ",
        "--id",
        "  if linux ",
        "    if initrd ",
        "}",
        "menu-",
        "cairn_try=",
        "cairn_left=",
        "+3-1",
        "cairn-",
        ".conf",
    ],
    most: 2048,
    quick: 15_000,
    run: menu,
};

/// What a machine's root says of the store paths in it: the registration file, and the record of one path.
pub(super) const REGISTRATION: Target = Target {
    name: "registration",
    seeds: registration_seeds,
    words: &[
        "\n",
        "\u{1e}",
        "/nix/store/",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x",
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-x",
        "18446744073709551615",
        "\n\n0\n",
        "\n\n2\n",
        "{\"info\":{\"narSize\":1,\"references\":[",
        "\"",
        "]}}",
    ],
    most: 2048,
    quick: 20_000,
    run: store_paths,
};

/// Files in memory, by path.
#[derive(Debug)]
struct InMemory {
    files: BTreeMap<String, String>,
    budget: Arc<Budget>,
}

impl InMemory {
    fn new(files: impl IntoIterator<Item = (String, String)>) -> InMemory {
        InMemory { files: files.into_iter().collect(), budget: Budget::shared() }
    }
}

impl Files for InMemory {
    fn kind(&self, path: &str) -> Result<Option<Kind>, ViewError> {
        Ok(self.files.contains_key(path).then_some(Kind::File))
    }

    fn link(&self, _: &str) -> Result<Option<String>, ViewError> {
        Ok(None)
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.files.get(path).map(|text| text.clone().into_bytes()))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError> {
        let below = |file: &String| {
            let rest = file.strip_prefix(path)?.strip_prefix('/')?;
            Some(rest.split('/').next().unwrap_or(rest).to_string())
        };
        let mut names: Vec<String> = self.files.keys().filter_map(below).collect();
        names.dedup();
        Ok(Some(names))
    }

    fn modified(&self, _: &str) -> Result<Option<i64>, ViewError> {
        Ok(None)
    }

    fn shown(&self, path: &str) -> std::path::PathBuf {
        path.into()
    }

    fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }
}

fn menu_seeds() -> Vec<Vec<u8>> {
    let system = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-s";
    let entry = format!(
        "title Cairn\nversion 2\nsort-key cairn\nlinux /EFI/cairn/linux\ninitrd /EFI/cairn/initrd\n\
         devicetree /EFI/x.dtb\noptions init={system}/init quiet\noptions cairn.generation=2\n"
    );
    let menu = format!(
        "menuentry 'it'\\''s' --id '1-abc' {{\n  if linux '/c/linux' 'init={system}/init' 'cairn.generation=1'; then\n    \
         if initrd '/c/initrd'; then boot; fi\n  fi\n}}\nmenuentry 'W' --id 'w' {{\n  if chainloader x; then boot; fi\n}}\n"
    );
    let pointer = "if [ -s \"$prefix\"/'menu-0123abcd'.cfg ]; then source \"$prefix\"/'menu-0123abcd'.cfg; fi\n";
    let environment = "# GRUB Environment Block\ncairn_try=1-abc\ncairn_left=3\n####";
    let name = "cairn-01234567-2-abcdefgh+3-1.conf";
    vec![
        whole(&[name, &entry, "timeout 3\ndefault x\n", pointer, &menu, environment]),
        whole(&["cairn-01234567-2-abcdefgh.conf", &entry, "", "", "", ""]),
        whole(&["", "", "", pointer, &menu, ""]),
    ]
}

/// The files of a boot partition.
fn files_of(input: &[u8]) -> Vec<(String, String)> {
    let [name, entry, loader, pointer, menu, environment] = parts(input);
    vec![
        ("loader/loader.conf".into(), loader),
        (format!("loader/entries/{}", name.replace('/', "")), entry),
        ("cairn/01234567/grub/grub.cfg".into(), pointer),
        ("cairn/01234567/grub/menu-0123abcd.cfg".into(), menu),
        ("cairn/01234567/grub/grubenv".into(), environment),
    ]
}

/// What `inspect` finds in them.
fn menu_of(files: &[(String, String)]) -> Boot {
    let found = files.iter().map(|(path, _)| BootFile { partition: "esp".into(), path: path.clone(), size: 1 });
    let mut boot = Boot { files: found.collect(), ..Boot::default() };
    let text = |path: &str| files.iter().find(|file| file.0 == path).map(|file| file.1.clone().into_bytes());
    let Ok(()) = boot.read_menu(|path, _| Ok::<_, Infallible>(text(path)));
    boot
}

fn menu(input: &[u8]) {
    let files = files_of(input);
    let entries = menu_of(&files).entries;
    let of_loader = entries.iter().filter(|entry| entry.file.ends_with(".conf") && !entry.file.starts_with("grub: "));
    assert!(of_loader.count() <= 1);
    let absolute = files.into_iter().map(|(path, text)| (format!("/{path}"), text));
    let volume = BootVolume {
        name: "esp".into(),
        xbootldr: false,
        files: std::rc::Rc::new(InMemory::new(absolute)),
        volume: None,
    };
    if let Ok(Some(found)) = Menu::read(&[volume]) {
        let _ = found.of(2, "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-s");
    }
}

fn registration_seeds() -> Vec<Vec<u8>> {
    let [a, b] = ["a", "b"].map(|letter| format!("/nix/store/{}-x", letter.repeat(32)));
    let text = format!("{b}\nhash\n20\n\n2\n{a}\n{b}\n{a}\nhash\n10\n\n0\n");
    let info = format!(r#"{{"info":{{"narSize":7,"references":["{a}","{b}"]}},"more":1}}"#);
    vec![text.clone().into(), whole(&[&text, &info])]
}

fn store_paths(input: &[u8]) {
    let [text, info] = parts(input);
    let [a, b] = ["a", "b"].map(|letter| format!("/nix/store/{}-x", letter.repeat(32)));
    if let Some(paths) = registration(&text) {
        assert!(paths.is_sorted_by(|a, b| a.path <= b.path));
    }
    let info_of_a = (!info.is_empty()).then(|| (format!("/nix/var/cairn/info/{}-x.json", "a".repeat(32)), info));
    let files = InMemory::new([("/nix-path-registration".to_string(), text)].into_iter().chain(info_of_a));
    let mut closures = Closures::new(&files);
    for path in [a, b] {
        if let Ok(Some(all)) = closures.of(&path) {
            assert!(all.contains(path.as_str()));
            let _ = closures.size(&all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_inputs_begin_with_is_read() {
        let found: Vec<usize> = menu_seeds().iter().map(|seed| menu_of(&files_of(seed)).entries.len()).collect();
        assert_eq!(found, [2, 1, 1]);
        assert_eq!(registration(&parts::<2>(&registration_seeds()[0])[0]).unwrap().len(), 2);
    }
}

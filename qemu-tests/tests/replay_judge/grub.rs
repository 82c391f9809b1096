//! GRUB's menu, in the shape that Cairn's template has, and against what was measured by booting.

use qemu_tests::judge::fat::Fat;
use qemu_tests::judge::grub::{Platform, judge, starts};
use qemu_tests::judge::verdict::Known;
use qemu_tests::judge::volume::Hashes;

use crate::{image, start, volume};

const MENU: &str = r#"
set default=0
set timeout_style=menu
set timeout=3
if [ "$grub_platform" = pc ]; then
  if serial --unit=0 --speed=115200; then terminal_input --append serial; fi
fi
function cairn_failed {
  sleep 5
  reboot
}
menuentry 'one' --id 'cairn-default' --class cairn --unrestricted {
  if linux '/k/l1' 'init=/1' 'a b'; then
    if initrd '/k/i1'; then boot; fi
  fi
  cairn_failed
}
set cairn_menu=begun
menuentry 'two' --id 'cairn-trial' --class cairn --unrestricted {
  set cairn_may=yes
  if [ "$cairn_try" = '2' ]; then
    set cairn_was="$cairn_left"
    if [ "$cairn_was" = 3 ]; then set cairn_left=2
    elif [ "$cairn_was" = 2 ]; then set cairn_left=1
    elif [ "$cairn_was" = 1 ]; then set cairn_left=0
    else set cairn_was=
    fi
    if [ -n "$cairn_was" ]; then
      if save_env cairn_left; then true; else set cairn_may=no; fi
    fi
  fi
  if [ "$cairn_may" = yes ]; then
    if linux '/k/l2' 'init=/2' 'cairn.trial'; then
      if initrd '/k/i2'; then boot; fi
    fi
  else
    if linux '/k/l1' 'init=/1' 'a b'; then
      if initrd '/k/i1'; then boot; fi
    fi
  fi
  cairn_failed
}
submenu 'All' --id 'cairn-all' {
menuentry 'one' --id '1-a' {
  if linux '/k/l1' 'init=/1' 'a b'; then
    if initrd '/k/i1'; then boot; fi
  fi
  cairn_failed
}
}
if [ -s "$prefix/grubenv" ]; then
  load_env cairn_try cairn_left next_entry saved_entry
fi
if [ "$cairn_try" = '2' ]; then
  if [ "$cairn_left" = 1 -o "$cairn_left" = 2 -o "$cairn_left" = 3 ]; then
    if [ -s '/k/l2' -a -s '/k/i2' ]; then set default='cairn-trial'; fi
  fi
fi
if [ -n "$next_entry" ]; then
  set cairn_once="$next_entry"
  set next_entry=
  if save_env next_entry; then
    set default="$cairn_once"
  fi
fi
set cairn_menu=complete
"#;

fn block(values: &str) -> String {
    format!("{:#<512}", format!("# GRUB Environment Block\n{values}"))
}

/// Paths and contents.
type Files = Vec<(String, Vec<u8>)>;

/// The files of a machine with a trial, after a change.
fn files(change: &dyn Fn(&mut Files)) -> Files {
    let block = block("cairn_try=2\ncairn_left=3\n");
    let mut files: Files = [
        ("k/l1", "kernel 1"),
        ("k/i1", "initrd 1"),
        ("k/l2", "kernel 2"),
        ("k/i2", "i2"),
        ("g/grub.cfg", MENU),
        ("g/grub.old", MENU),
        ("g/grubenv", &block),
    ]
    .map(|(path, text)| (path.to_string(), text.as_bytes().to_vec()))
    .into();
    change(&mut files);
    files
}

fn verdict(files: &[(String, Vec<u8>)]) -> Result<(), String> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let image = image(&volume(&files));
    let fat = Fat::open(&image).unwrap();
    let known = Known {
        booted: vec![start(b"kernel 1", b"initrd 1", "init=/1 a b")],
        good: vec![],
        trials: vec![start(b"kernel 2", b"i2", "init=/2 cairn.trial")],
    };
    judge(&fat, "/g", Platform::Bios, &known, &mut Hashes::default())?;
    judge(&fat, "/g", Platform::Uefi, &known, &mut Hashes::default())
}

/// The verdict when a file says this instead.
fn saying(path: &str, text: &str) -> Result<(), String> {
    verdict(&files(&|files| {
        files.iter_mut().filter(|(p, _)| p == path).for_each(|(_, bytes)| *bytes = text.as_bytes().to_vec());
    }))
}

/// The verdict when these files are gone.
fn without(start: &str) -> Result<(), String> {
    verdict(&files(&|files| files.retain(|(path, _)| !path.starts_with(start))))
}

#[test]
fn a_trial_that_fails_leads_back_to_the_good_one() {
    assert_eq!(verdict(&files(&|_| ())), Ok(()));
}

#[test]
fn every_entry_is_found() {
    let all = files(&|_| ());
    let all: Vec<(&str, &[u8])> = all.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let image = image(&volume(&all));
    let fat = Fat::open(&image).unwrap();
    let found = starts(&fat, "/g", Platform::Bios, &mut Hashes::default());
    let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["cairn-default", "cairn-trial", "1-a"]);
    assert_eq!(found[0].1.options, "init=/1 a b");
}

#[test]
fn what_was_measured_to_be_harmless_is() {
    for path in ["g/grubenv", "g/grub.cfg", "g/grub.old", "k/l2", "k/i2"] {
        assert_eq!(without(path), Ok(()), "{path}");
    }
    // The last one is torn behind the first entry.
    for text in ["", "\0\0\0", "menuentry 'x' {\n", &MENU[..MENU.find("submenu").unwrap()]] {
        assert_eq!(saying("g/grub.cfg", text), Ok(()), "{text}");
    }
    for text in [block(""), "\0".repeat(512), block("cairn_try=9\ncairn_left=3\n"), block("next_entry=cairn-all>1-a\n")]
    {
        assert_eq!(saying("g/grubenv", &text), Ok(()), "{text}");
    }
}

#[test]
fn a_pointer_to_the_menu_is_followed() {
    let pointer = "if [ -s \"$prefix\"/'menu-1'.cfg ]; then source \"$prefix\"/'menu-1'.cfg; fi
if [ \"$cairn_menu\" != complete ]; then source \"$prefix\"/'menu-1'.old; fi
";
    let with = |menus: &[(&str, &str)], broken: &str| {
        verdict(&files(&|files| {
            files.retain(|(path, _)| !path.starts_with("g/grub."));
            let pointers = [("grub.cfg", pointer), ("grub.old", pointer)];
            for (name, text) in pointers.iter().chain(menus).filter(|(name, _)| *name != broken) {
                files.push((format!("g/{name}"), text.as_bytes().to_vec()));
            }
        }))
    };
    let torn = &MENU[..300];
    for menus in [[MENU, MENU], [torn, MENU], ["", MENU], [MENU, ""]] {
        let menus = [("menu-1.cfg", menus[0]), ("menu-1.old", menus[1])];
        assert_eq!(with(&menus, ""), Ok(()), "{menus:?}");
        assert_eq!(with(&menus, "grub.cfg"), Ok(()));
    }
    assert!(with(&[], "").is_err());
    assert!(with(&[("menu-1.cfg", ""), ("menu-1.old", "")], "").is_err());
}

#[test]
fn what_stops_or_loops_is_bad() {
    let bad = |verdict: Result<(), String>, what: &str| {
        let why = verdict.unwrap_err();
        assert!(why.contains(what), "{why}\n{what} was expected");
    };
    bad(without("k/i1"), "no entry is there that booted before");
    bad(without("k/l1"), "no entry is there that booted before");
    bad(without("g/grub."), "no entry is there that booted before");
    // A trial that nobody counts.
    let uncounted = MENU.replace("if save_env cairn_left; then true; else set cairn_may=no; fi", "true");
    bad(saying("g/grub.cfg", &uncounted), "for ever, as nothing is counted");
    // A default whose entry ends without a kernel: the menu for ever.
    let bare = MENU.replacen("linux '/k/l1'", "linux '/k/none'", 1).replacen("  cairn_failed\n", "", 1);
    bad(saying("g/grub.cfg", &bare), "the menu for ever");
    bad(saying("g/grub.cfg", &MENU.replace("timeout=3", "timeout=-1")), "waits for somebody");
    bad(saying("g/grub.cfg", &MENU.replace("'cairn.trial'", "'other'")), "nobody wrote");
}

//! The whole text of what is rendered.

use bootloader_templates::grub::{Config, Early, MenuStyle};

use crate::common::{check, least, most};

// Golden of templates/grub/grub.cfg, with as little as there can be.
#[test]
fn one_generation_and_nothing_else() {
    let script = least().render().unwrap();
    assert_eq!(
        script,
        r#"# The menu of GRUB, made by Cairn from the machine file. It is made again at every upgrade: what is changed here is lost.
set default=0
set timeout_style=menu
set timeout=3

function cairn_failed {
  echo 'This entry did not start. The machine starts again in 5 seconds.'
  sleep 5
  reboot
}

# Entry 0: the generation that is known to boot.
menuentry 'hello, generation 1 (Linux 6.12.107, 2026-11-15)' --id 'cairn-default' --class cairn --unrestricted {
  if linux '/cairn/0123abcd/aaaa-linux' 'init=/nix/store/aaaa-system/init' 'root=UUID=1' 'quiet'; then
    if initrd '/cairn/0123abcd/aaaa-initrd'; then boot; fi
  fi
  cairn_failed
}
set cairn_menu=begun

submenu 'All generations' --id 'cairn-all' --class cairn --unrestricted {
menuentry 'hello, generation 1 (Linux 6.12.107, 2026-11-15)' --id '1-aaaa' --class cairn --unrestricted {
  if linux '/cairn/0123abcd/aaaa-linux' 'init=/nix/store/aaaa-system/init' 'root=UUID=1' 'quiet'; then
    if initrd '/cairn/0123abcd/aaaa-initrd'; then boot; fi
  fi
  cairn_failed
}
}

# What boots by itself. Everything above stands; from here on another entry than 0 may become the default.
if [ -s "$prefix/grubenv" ]; then
  load_env cairn_try cairn_left next_entry saved_entry
fi

# One boot of something else.
if [ -n "$next_entry" ]; then
  set cairn_once="$next_entry"
  set next_entry=
  if save_env next_entry; then
    set default="$cairn_once"
  fi
fi
set cairn_menu=complete
"#
    );
    check(&script);
}

// Golden of templates/grub/grub.cfg, with everything.
#[test]
fn everything_at_once() {
    let script = most().render().unwrap();
    assert_eq!(
        script,
        r#"# The menu of GRUB, made by Cairn from the machine file. It is made again at every upgrade: what is changed here is lost.
set default=0
set timeout_style=menu
set timeout=3

# Under UEFI the console of the firmware is on the serial line already, or is not wanted there.
if [ "$grub_platform" = pc ]; then
  if serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1; then
    terminal_input --append serial
    terminal_output --append serial
  fi
fi

# Whoever wants to change an entry or have a command line must know the password; generations boot without.
set superusers='admin'
export superusers
password_pbkdf2 'admin' 'grub.pbkdf2.sha512.10000.0123456789ABCDEF.FEDCBA9876543210'

function cairn_failed {
  if [ -n "$saved_entry" ]; then
    set saved_entry=
    if save_env saved_entry; then true; fi
  fi
  echo 'This entry did not start. The machine starts again in 5 seconds.'
  sleep 5
  reboot
}

# Entry 0: the generation that is known to boot.
menuentry 'hello, generation 2 (Linux 6.12.107, 2026-11-15)' --id 'cairn-default' --class cairn --unrestricted {
  if [ -z "$cairn_once" -a -n "$saved_entry" ]; then
    set saved_entry=
    if save_env saved_entry; then true; fi
  fi
  if linux '/cairn/0123abcd/bbbb-linux' 'init=/nix/store/bbbb-system/init' 'root=UUID=1' 'quiet'; then
    if initrd '/cairn/0123abcd/bbbb-initrd'; then boot; fi
  fi
  # Next time the one before it, once.
  set next_entry='cairn-all>1-aaaa'
  if save_env next_entry; then true; fi
  cairn_failed
}
set cairn_menu=begun

# The newest generation, which has not booted well yet: each start takes one of its tries away. A disk that cannot be
# written cannot count, and boots what is known to boot.
menuentry 'hello, generation 3 (Linux 6.12.107, 2026-11-15)' --id 'cairn-trial' --class cairn --unrestricted {
  set cairn_may=yes
  if [ "$cairn_try" = '3' ]; then
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
    if linux '/cairn/0123abcd/cccc-linux' 'init=/nix/store/cccc-system/init' 'root=UUID=1' 'quiet' 'cairn.trial'; then
      if initrd '/cairn/0123abcd/cccc-initrd'; then boot; fi
    fi
  else
    echo 'The tries of this generation cannot be counted here. Starting the last good one.'
    if linux '/cairn/0123abcd/bbbb-linux' 'init=/nix/store/bbbb-system/init' 'root=UUID=1' 'quiet'; then
      if initrd '/cairn/0123abcd/bbbb-initrd'; then boot; fi
    fi
  fi
  cairn_failed
}

menuentry 'hello, generation 2 (Linux 6.12.107, 2026-11-15) (text)' --id 'cairn-default:text' --class cairn --unrestricted {
  if [ -z "$cairn_once" -a "$saved_entry" != 'cairn-all>2-bbbb:text' ]; then
    set saved_entry='cairn-all>2-bbbb:text'
    if save_env saved_entry; then true; fi
  fi
  if linux '/cairn/0123abcd/dddd-linux' 'init=/nix/store/dddd-system/init' 'root=UUID=1' 'quiet'; then
    if initrd '/cairn/0123abcd/dddd-initrd'; then boot; fi
  fi
  cairn_failed
}

submenu 'All generations' --id 'cairn-all' --class cairn --unrestricted {
menuentry 'hello, generation 3 (Linux 6.12.107, 2026-11-15)' --id '3-cccc' --class cairn --unrestricted {
  if linux '/cairn/0123abcd/cccc-linux' 'init=/nix/store/cccc-system/init' 'root=UUID=1' 'quiet' 'cairn.trial'; then
    if initrd '/cairn/0123abcd/cccc-initrd'; then boot; fi
  fi
  cairn_failed
}
menuentry 'hello, generation 2 (Linux 6.12.107, 2026-11-15)' --id '2-bbbb' --class cairn --unrestricted {
  if linux '/cairn/0123abcd/bbbb-linux' 'init=/nix/store/bbbb-system/init' 'root=UUID=1' 'quiet'; then
    if initrd '/cairn/0123abcd/bbbb-initrd'; then boot; fi
  fi
  cairn_failed
}
menuentry 'hello, generation 2 (Linux 6.12.107, 2026-11-15) (text)' --id '2-bbbb:text' --class cairn --unrestricted {
  if [ -z "$cairn_once" -a "$saved_entry" != 'cairn-all>2-bbbb:text' ]; then
    set saved_entry='cairn-all>2-bbbb:text'
    if save_env saved_entry; then true; fi
  fi
  if linux '/cairn/0123abcd/dddd-linux' 'init=/nix/store/dddd-system/init' 'root=UUID=1' 'quiet'; then
    if initrd '/cairn/0123abcd/dddd-initrd'; then boot; fi
  fi
  cairn_failed
}
menuentry 'hello, generation 1 (Linux 6.12.107, 2026-11-15)' --id '1-aaaa' --class cairn --unrestricted {
  if [ -z "$cairn_once" -a "$saved_entry" != 'cairn-all>1-aaaa' ]; then
    set saved_entry='cairn-all>1-aaaa'
    if save_env saved_entry; then true; fi
  fi
  if linux '/cairn/0123abcd/aaaa-linux' 'init=/nix/store/aaaa-system/init' 'root=UUID=1' 'quiet'; then
    if initrd '/cairn/0123abcd/aaaa-initrd'; then boot; fi
  fi
  cairn_failed
}
}

if [ "$grub_platform" = efi ]; then
menuentry 'Network' --id 'extra-net' --class efi --unrestricted {
  if [ -z "$cairn_once" -a "$saved_entry" != 'extra-net' ]; then
    set saved_entry='extra-net'
    if save_env saved_entry; then true; fi
  fi
  if chainloader '/EFI/net/boot.efi' '-x'; then boot; fi
  cairn_failed
}
fi

menuentry 'Somebody'\''s old system' --id 'extra-old' --class linux {
  if linux '/old/vmlinuz' 'root=/dev/sdb1' 'ro'; then
    boot
  fi
  cairn_failed
}

if [ "$grub_platform" = efi -a -s '/cairn/0123abcd/memtest.efi' ]; then
menuentry 'Memory test' --id 'cairn-memtest' --class memtest --unrestricted {
  if chainloader '/cairn/0123abcd/memtest.efi'; then boot; fi
  cairn_failed
}
fi
if [ "$grub_platform" = pc -a -s '/cairn/0123abcd/memtest.bin' ]; then
menuentry 'Memory test' --id 'cairn-memtest' --class memtest --unrestricted {
  if linux '/cairn/0123abcd/memtest.bin'; then boot; fi
  cairn_failed
}
fi

# What else is here, looked for at each start.
if [ "$grub_platform" = efi ]; then
  if search --no-floppy --file --set=cairn_windows /EFI/Microsoft/Boot/bootmgfw.efi; then
    export cairn_windows
    menuentry 'Windows' --id 'cairn-windows' --class windows --unrestricted {
      if [ -z "$cairn_once" -a "$saved_entry" != 'cairn-windows' ]; then
        set saved_entry='cairn-windows'
        if save_env saved_entry; then true; fi
      fi
      if chainloader ($cairn_windows)/EFI/Microsoft/Boot/bootmgfw.efi; then boot; fi
      cairn_failed
    }
  fi
  # A shell can start anything: with a password it asks for it.
  if [ -s /shellx64.efi ]; then
    menuentry 'EFI shell' --id 'cairn-shell' --class efi {
      if chainloader /shellx64.efi; then boot; fi
      cairn_failed
    }
  fi
fi

if [ "$grub_platform" = efi ]; then
menuentry 'Firmware setup' --id 'cairn-firmware' --class settings --unrestricted {
  fwsetup
  cairn_failed
}
fi

# What boots by itself. Everything above stands; from here on another entry than 0 may become the default.
if [ -s "$prefix/grubenv" ]; then
  load_env cairn_try cairn_left next_entry saved_entry
fi
# Entries in the submenu see what is exported, and nothing else.
export saved_entry
export cairn_once

# A generation whose files are gone is not tried at all.
if [ -s '/cairn/0123abcd/bbbb-linux' -a -s '/cairn/0123abcd/bbbb-initrd' ]; then set default=0
elif [ -s '/cairn/0123abcd/aaaa-linux' -a -s '/cairn/0123abcd/aaaa-initrd' ]; then set default='cairn-all>1-aaaa'
fi

# What was chosen last time, as long as it is known to boot.
if [ -z "$saved_entry" ]; then true
elif [ "$saved_entry" = 'cairn-all>2-bbbb:text' ]; then
  if [ -s '/cairn/0123abcd/dddd-linux' -a -s '/cairn/0123abcd/dddd-initrd' ]; then set default='cairn-all>2-bbbb:text'; fi
elif [ "$saved_entry" = 'cairn-all>1-aaaa' ]; then
  if [ -s '/cairn/0123abcd/aaaa-linux' -a -s '/cairn/0123abcd/aaaa-initrd' ]; then set default='cairn-all>1-aaaa'; fi
elif [ "$saved_entry" = 'extra-net' ]; then
  set default='extra-net'
elif [ "$saved_entry" = 'cairn-windows' ]; then
  set default='cairn-windows'
fi

if [ "$cairn_try" = '3' ]; then
  if [ "$cairn_left" = 1 -o "$cairn_left" = 2 -o "$cairn_left" = 3 ]; then
    if [ -s '/cairn/0123abcd/cccc-linux' -a -s '/cairn/0123abcd/cccc-initrd' ]; then set default='cairn-trial'; fi
  fi
fi

# One boot of something else.
if [ -n "$next_entry" ]; then
  set cairn_once="$next_entry"
  set next_entry=
  if save_env next_entry; then
    set default="$cairn_once"
  fi
fi
set cairn_menu=complete
"#
    );
    check(&script);
}

// Golden of templates/grub/early.cfg.
#[test]
fn the_early_script() {
    let script = Early { uuid: Some("1A2B-3C4D".into()), folder: "/cairn/0123abcd/grub".into() }.render().unwrap();
    assert_eq!(
        script,
        r#"search --no-floppy --fs-uuid --set=root --hint "$root" --hint "$root," '1A2B-3C4D'
set prefix=($root)'/cairn/0123abcd/grub'
set timeout=5
set default=0
if [ -s "$prefix/grub.cfg" ]; then
  source "$prefix/grub.cfg"
fi
if [ "$cairn_menu" != complete ]; then
  if [ -s "$prefix/grub.old" ]; then
    echo 'The boot menu is damaged. Taking the one before it.'
    configfile "$prefix/grub.old"
  fi
fi
if [ -z "$cairn_menu" ]; then
  echo 'There is no boot menu on the boot partition. The machine starts again in 10 seconds.'
  sleep 10
  reboot
fi
"#
    );
    check(&script);
}

#[test]
fn the_menu_shows_itself_as_it_is_told() {
    for (style, lines) in [
        (MenuStyle::Shown, "set timeout_style=menu\nset timeout=3\n"),
        (MenuStyle::Hidden, "set timeout_style=hidden\nset timeout=3\n"),
        (MenuStyle::Countdown, "set timeout_style=countdown\nset timeout=3\n"),
        (MenuStyle::Wait, "set timeout_style=menu\nset timeout=-1\n"),
    ] {
        let script = Config { style, ..least() }.render().unwrap();
        assert!(script.contains(lines), "{style:?}\n{script}");
        // Somebody is asked, but not when one start of something was asked for already.
        assert_eq!(script.contains("    set timeout=1\n"), style == MenuStyle::Wait);
        check(&script);
    }
}

/// A core image that is older than the menu must boot it, and GRUB runs past what it does not know: what is not here needs a
/// reason why that does no harm.
#[test]
fn a_menu_uses_only_what_the_first_core_image_knew() {
    #[rustfmt::skip]
    const KNOWN: [&str; 26] = [
        "[", "boot", "cairn_failed", "chainloader", "echo", "export", "function", "fwsetup", "initrd", "linux", "load_env",
        "menuentry", "password_pbkdf2", "reboot", "save_env", "search", "serial", "set", "sleep", "source", "submenu",
        "terminal_input", "terminal_output", "test", "true", "}",
    ];
    let menu = most().render().unwrap();
    let pointer = bootloader_templates::grub::Pointer { menu: "menu-1".into() }.render().unwrap();
    let mut commands: Vec<&str> = Vec::new();
    for line in menu.lines().chain(pointer.lines()).filter(|line| !line.trim().starts_with('#')) {
        // Nothing that is quoted in these menus has a semicolon.
        for part in line.trim().split(';') {
            let keyword = |word: &&str| ["if", "elif", "else", "then", "fi"].contains(word);
            commands.extend(part.split_ascii_whitespace().find(|word| !keyword(word)));
        }
    }
    commands.sort_unstable();
    commands.dedup();
    let unknown: Vec<_> = commands.iter().filter(|command| !KNOWN.contains(command)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(commands.len() > 20, "{commands:?}");
}

// Golden of templates/grub/stub.cfg. Whatever the folder and the volume id, it fits into a sector.
#[test]
fn the_signed_grub_finds_the_menu_by_a_script_of_one_sector() {
    let early = |uuid: Option<&str>| Early { uuid: uuid.map(str::to_string), folder: "/cairn/0123abcd/grub".into() };
    let script = early(Some("1A2B-3C4D")).render_stub().unwrap();
    assert_eq!(
        script,
        r#"# Made by Cairn.
search --no-floppy --fs-uuid --set=root --hint "$root" '1A2B-3C4D'
set prefix=($root)'/cairn/0123abcd/grub'
set timeout=5
set default=0
if [ -s "$prefix/grub.cfg" ]; then source "$prefix/grub.cfg"; fi
if [ "$cairn_menu" != complete ]; then
  if [ -s "$prefix/grub.old" ]; then configfile "$prefix/grub.old"; fi
fi
if [ -z "$cairn_menu" ]; then
  echo 'No boot menu was found.'
  sleep 10
  reboot
fi
"#
    );
    check(&script);
    let script = early(None).render_stub().unwrap();
    assert!(
        script.contains("\nsearch --file --set=root --hint \"$root\" '/cairn/0123abcd/grub'/grub.cfg\n"),
        "{script}"
    );
    assert!(script.len() <= 512, "{}", script.len());
    check(&script);
}

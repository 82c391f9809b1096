# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cairn_global_optspecs
    string join \n q/quiet h/help V/version
end

function __fish_cairn_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cairn_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cairn_using_subcommand
    set -l cmd (__fish_cairn_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cairn -n "__fish_cairn_needs_command" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_needs_command" -s h -l help -d 'Print help'
complete -c cairn -n "__fish_cairn_needs_command" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "init" -d 'Write a commented machine file to start from'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "check" -d 'Say everything that is wrong with machine files'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "lock" -d 'Pin the exact packages behind a machine file'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "build" -d 'Build disk images'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "run" -d 'Run a machine in QEMU, on this terminal'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "verify" -d 'Boot a machine unattended and check it from the inside'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "inspect" -d 'Show what is in an image'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "generations" -d 'List a machine\'s generations'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "diff" -d 'Compare two generations'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "capture" -d 'Give back the files that a machine was made from'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "upgrade" -d 'Make a new generation of this machine'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "rollback" -d 'Boot another generation from now on'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "gc" -d 'Remove what nothing refers to'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "boot" -d 'Look after the boot partition'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "hardware" -d 'Find out what this computer is and which drivers it needs'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "disks" -d 'List this computer\'s disks: what they are, what is on them, what uses it'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "install" -d 'Install a machine onto a disk'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "rehearse" -d 'Try an installation on a twin of the disk, in QEMU'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "medium" -d 'Make a medium from which systems are installed'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "schema" -d 'Print the JSON Schema of machine files, for editors'
complete -c cairn -n "__fish_cairn_needs_command" -f -a "generate-docs" -d 'Write man pages, completions, the schema and the command reference'
complete -c cairn -n "__fish_cairn_using_subcommand init" -l hostname -d 'The machine\'s host name [default: the file\'s name, or `machine`]' -r
complete -c cairn -n "__fish_cairn_using_subcommand init" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand init" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand check" -l json -d 'Print one JSON object: `ok`, and the lists `problems` and `warnings`'
complete -c cairn -n "__fish_cairn_using_subcommand check" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand check" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand lock" -l update -d 'Take the newest versions even when the lock file is still good'
complete -c cairn -n "__fish_cairn_using_subcommand lock" -l json -d 'Print one JSON object: the lock file\'s path, and what has changed'
complete -c cairn -n "__fish_cairn_using_subcommand lock" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand lock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand lock" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand build" -s o -l output -d 'Where the images go, as NAME.FORMAT; made when it is missing' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand build" -l format -d 'The formats of the images' -r -f -a "raw\t'The disk byte for byte, with holes'
qcow2\t'QEMU\'s own format, version 3'"
complete -c cairn -n "__fish_cairn_using_subcommand build" -l after -d 'Make the image as that of a machine that was upgraded: OLD.yaml is an older generation of it. Given several times, the oldest first' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand build" -l key -d 'Sign the system with this Nix signing key' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand build" -l force -d 'Replace images that have changed since they were built, those of other machines, and whatever else has their names; not one that is in use. A folder that was copied or restored, as in CI, needs it: what was built is remembered in the cache, by the times of the files'
complete -c cairn -n "__fish_cairn_using_subcommand build" -l json -d 'Print JSON events, one per line, instead of the images\' paths'
complete -c cairn -n "__fish_cairn_using_subcommand build" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand build" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l disk -d 'How the image is attached (virtio-blk unless it is said), or the size of an empty disk besides, such as 20G, which the firmware tries first. It is gone at the end' -r
complete -c cairn -n "__fish_cairn_using_subcommand run" -l hardware -d 'As the computer that this hardware file has recorded. Without it, that of the machine file: a `computer.yaml` beside it, or else the hardware file that it includes, where that has recorded disks' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand run" -l ssh-port -d 'Reach the machine\'s SSH server at this port of 127.0.0.1' -r
complete -c cairn -n "__fish_cairn_using_subcommand run" -l memory -d 'Memory of the machine, such as 512M or 2G; 1G unless something else is said' -r
complete -c cairn -n "__fish_cairn_using_subcommand run" -l cpus -d 'Processors of the machine, 2 unless something else is said. Emulated ones take turns on one of this computer\'s' -r
complete -c cairn -n "__fish_cairn_using_subcommand run" -l firmware -d 'What starts the machine. Without it UEFI, but a BIOS for an image without an EFI system partition' -r -f -a "uefi\t'UEFI (OVMF)'
bios\t'A BIOS (SeaBIOS)'"
complete -c cairn -n "__fish_cairn_using_subcommand run" -l persist -d 'Keep what the machine writes, in the image itself. Needs an image'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l graphics -d 'Open a window with the machine\'s screen'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l cdrom -d 'As --disk cdrom'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l usb -d 'As --disk usb'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l bios -d 'As --firmware bios'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l secure-boot -d 'UEFI that starts only what is signed, with the keys of Microsoft'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l tpm -d 'With a TPM 2.0 (swtpm). What it holds is gone at the end; with --persist it is kept beside the image, in a folder ending in `.tpm`'
complete -c cairn -n "__fish_cairn_using_subcommand run" -l generic -d 'Not as a computer that was recorded'
complete -c cairn -n "__fish_cairn_using_subcommand run" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand run" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l against -d 'Hold the image against this machine file instead of its own' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l junit -d 'Write the result as JUnit XML' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l screenshot -d 'Write a picture (PNG) of the machine\'s screen at its login prompt' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l disk -d 'How the disk is attached' -r -f -a "virtio-blk\t'A virtio disk'
virtio-scsi\t'A SCSI disk on a virtio controller'
nvme\t'An NVMe drive'
ahci\t'A SATA drive'
usb\t'A USB drive'
sd\t'An SD card; its size is a power of two'
cdrom\t'A CD in a SATA drive'"
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l memory -d 'Memory of the machine, such as 512M or 2G; 1G unless something else is said' -r
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l cpus -d 'Processors of the machine, 2 unless something else is said. Emulated ones take turns on one of this computer\'s' -r
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l firmware -d 'What starts the machine. Without it UEFI, but a BIOS for an image without an EFI system partition' -r -f -a "uefi\t'UEFI (OVMF)'
bios\t'A BIOS (SeaBIOS)'"
complete -c cairn -n "__fish_cairn_using_subcommand verify" -l json -d 'Print one JSON object: `ok`, and the list `checks`'
complete -c cairn -n "__fish_cairn_using_subcommand verify" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand verify" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand inspect" -l json -d 'Print one JSON object'
complete -c cairn -n "__fish_cairn_using_subcommand inspect" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand inspect" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand generations" -l root -d 'The machine whose root is mounted here, instead of this one' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand generations" -l image -d 'The machine in this raw or qcow2 image' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand generations" -l json -d 'Print one JSON object: the lists `generations` and `notes`'
complete -c cairn -n "__fish_cairn_using_subcommand generations" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand generations" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand generations" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand diff" -l root -d 'The machine whose root is mounted here, instead of this one' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand diff" -l image -d 'The machine in this raw or qcow2 image' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand diff" -l files -d 'Show the lines that differ in files of /etc'
complete -c cairn -n "__fish_cairn_using_subcommand diff" -l json -d 'Print one JSON object'
complete -c cairn -n "__fish_cairn_using_subcommand diff" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand diff" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand capture" -s o -l output -d 'The folder to write into; made when it is missing [default: the machine\'s host name]' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand capture" -l generation -d 'Another generation than the one that runs (in an image: than the newest)' -r
complete -c cairn -n "__fish_cairn_using_subcommand capture" -l root -d 'The machine whose root is mounted here, instead of this one' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand capture" -l image -d 'The machine in this raw or qcow2 image' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand capture" -l json -d 'Print one JSON object'
complete -c cairn -n "__fish_cairn_using_subcommand capture" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand capture" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -l from -d 'Take a system that was made elsewhere: the current one of the store below this folder (a mounted disk or image, a folder). Every byte is checked' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -l system -d 'Take this store path instead of the current system; with --from' -r
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -l root -d 'The machine\'s root: where its disk is mounted, boot partition and all' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -l dry-run -d 'Say what would be done. The system is made all the same, or copied, for its contents decide that; no generation is made of it'
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -l json -d 'Print one JSON object: the generation, its system, whether it is new'
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand upgrade" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -l root -d 'The machine\'s root: where its disk is mounted, boot partition and all' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -l once -d 'At the next boot only; after that the machine boots what it would have booted'
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -l reboot -d 'Restart the machine now'
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -l dry-run -d 'Say what would be done, and change nothing'
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -l json -d 'Print one JSON object: the generation, and whether it is only tried'
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand rollback" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand gc" -l keep -d 'Remove all generations but the newest N' -r
complete -c cairn -n "__fish_cairn_using_subcommand gc" -l older-than -d 'Remove the generations made longer ago than this: 12h, 30d, 8w' -r
complete -c cairn -n "__fish_cairn_using_subcommand gc" -l drop -d 'Remove this generation, also one that cannot be read. May be repeated' -r
complete -c cairn -n "__fish_cairn_using_subcommand gc" -l root -d 'The machine\'s root: where its disk is mounted, boot partition and all' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand gc" -l dry-run -d 'Say what would be removed, and change nothing'
complete -c cairn -n "__fish_cairn_using_subcommand gc" -l json -d 'Print one JSON object: the generations removed and kept, paths and downloaded packages, bytes'
complete -c cairn -n "__fish_cairn_using_subcommand gc" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand gc" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and not __fish_seen_subcommand_from check repair good" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and not __fish_seen_subcommand_from check repair good" -s h -l help -d 'Print help'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and not __fish_seen_subcommand_from check repair good" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and not __fish_seen_subcommand_from check repair good" -f -a "check" -d 'Compare the boot partition with what it should be'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and not __fish_seen_subcommand_from check repair good" -f -a "repair" -d 'Make the boot partition what it should be'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and not __fish_seen_subcommand_from check repair good" -f -a "good" -d 'Record that the generation that runs has booted well'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from check" -l root -d 'The machine whose root is mounted here, instead of this one' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from check" -l image -d 'The machine in this raw or qcow2 image' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON object: `ok`, and the lists `problems` and `notes`'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from repair" -l root -d 'The machine\'s root: where its disk is mounted, boot partition and all' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from repair" -l dry-run -d 'Say what would be done, and change nothing'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from repair" -l json -d 'Print one JSON object: the lists `repaired` and `not_repaired`'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from repair" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from repair" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from good" -l dry-run -d 'Say what would be done, and change nothing'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from good" -l json -d 'Print one JSON object: the generation, and whether it is recorded as good'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from good" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from good" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand boot; and __fish_seen_subcommand_from good" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -s o -l output -d 'Write the file instead of printing it; the seed of one that exists is kept' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -l diff -d 'Say what differs from this hardware file; exits 0 if nothing does, and 1 if something does' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -l root -d 'Look at the `sys` and `proc` below this folder; or, where a system is mounted, at this computer with that system\'s kernel and file systems' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -l explain -d 'Say what this computer is, and why each line is there'
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -l json -d 'Print one JSON object: all that is known; with `--diff`, `same` and the list `differences`'
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -l nix -d 'NixOS\'s `hardware-configuration.nix` instead, with what is mounted'
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand hardware" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand disks" -l root -d 'Look at the `sys`, `run/udev` and `proc` below this folder, and at no disk' -r -f -a "(__fish_complete_directories)"
complete -c cairn -n "__fish_cairn_using_subcommand disks" -l json -d 'Print one JSON object: the lists `devices` and `notes`'
complete -c cairn -n "__fish_cairn_using_subcommand disks" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand disks" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand disks" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand install" -l disk -d 'The disk, as for `cairn disks`: `/dev/disk/by-id/…`, `serial=…`, `only`, … Without it, what the file says under `install` is done' -r
complete -c cairn -n "__fish_cairn_using_subcommand install" -l over -d 'Ask on another computer, at this terminal: it runs the medium, or any Linux with cairn: `--over ssh root@HOST`' -r
complete -c cairn -n "__fish_cairn_using_subcommand install" -l into -d 'What the machine gets of the disk' -r -f -a "whole\t'All of it; what is on it goes'
free\t'Its free space, and what --replace and --keep name'
again\t'The places that it had before: what it boots from, its root and swap are made anew; /home and other data of its own stay'
renew\t'As `again`, but the root\'s file system stays, and with it /home, /var and all that is in it; only the system in it is made anew'"
complete -c cairn -n "__fish_cairn_using_subcommand install" -l replace -d 'Put a partition of the machine in the place of one that is there, whose contents go: `root=3`. May be given more than once' -r
complete -c cairn -n "__fish_cairn_using_subcommand install" -l keep -d 'Use a partition that is there as it is: `home=5`; `esp=1` shares the EFI system partition of other systems, whose files stay. May be given more than once' -r
complete -c cairn -n "__fish_cairn_using_subcommand install" -l spare -d 'Leave a partition of somebody else\'s where it is when all others go. May be given more than once' -r
complete -c cairn -n "__fish_cairn_using_subcommand install" -l plan -d 'Write the plan into this file, and do nothing else' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand install" -l apply -d 'Carry out the plan in this file, if the disk and the machine file are what they were' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand install" -l undo -d 'Bring back what the installation with this receipt has overwritten' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand install" -l yes-erase -d 'Contents of the disk may go: its serial number, or another name of its own' -r
complete -c cairn -n "__fish_cairn_using_subcommand install" -l receipt -d 'Where to keep what is overwritten [default: a new file in /var/lib/cairn/receipts]' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand install" -l then -d 'What to do when the machine is installed [default: what `install` says, or nothing]' -r -f -a "nothing\t'Nothing'
reboot\t'The computer is restarted'
power-off\t'The computer is switched off'"
complete -c cairn -n "__fish_cairn_using_subcommand install" -l progress -d 'Write what happens as JSON lines to this file or serial line, too' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand install" -l unattended -d 'Ask nobody: find the instructions in a credential (cairn.install), on the kernel\'s command line (cairn.install=PATH or URL), or on a stick with the label CAIRN, and stop at anything that they leave open'
complete -c cairn -n "__fish_cairn_using_subcommand install" -l elsewhere -d 'The disk will be started in another computer: hold nothing against this one\'s hardware and firmware, and leave its firmware\'s menu alone'
complete -c cairn -n "__fish_cairn_using_subcommand install" -l plain -d 'Ask in numbered lines, without moving the cursor: for speech, braille and logs. So does the word cairn.plain on the kernel\'s command line, and a serial line'
complete -c cairn -n "__fish_cairn_using_subcommand install" -l rich -d 'Ask with lists on the whole screen, even over a serial line'
complete -c cairn -n "__fish_cairn_using_subcommand install" -l json -d 'Print one JSON object: the plan, and what was done'
complete -c cairn -n "__fish_cairn_using_subcommand install" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand install" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l disk -d 'The disk whose twin is installed on, as for `cairn disks`; it is only read. Without it, the one that the file says under `install` [default with --hardware: only]' -r
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l hardware -d 'The disks are those of another computer, as `cairn hardware -o` has recorded them in this file; so are its firmware, and its hardware for a machine that names none' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l size -d 'The size of an empty disk that is not here, such as 480G' -r
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l sector-size -d 'The size of its sectors' -r
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l into -d 'What the machine gets of the disk' -r -f -a "whole\t'All of it; what is on it goes'
free\t'Its free space, and what --replace and --keep name'
again\t'The places that it had before: what it boots from, its root and swap are made anew; /home and other data of its own stay'
renew\t'As `again`, but the root\'s file system stays, and with it /home, /var and all that is in it; only the system in it is made anew'"
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l replace -d 'Put a partition of the machine in the place of one that is there, whose contents go: `root=3`. May be given more than once' -r
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l keep -d 'Use a partition that is there as it is: `home=5`; `esp=1` shares the EFI system partition of other systems, whose files stay. May be given more than once' -r
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l spare -d 'Leave a partition of somebody else\'s where it is when all others go. May be given more than once' -r
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l controller -d 'What the disk hangs on [default: what was recorded, or what the initrd has a driver for]' -r -f -a "virtio-blk\t'A virtio disk'
virtio-scsi\t'A SCSI disk on a virtio controller'
nvme\t'An NVMe drive'
ahci\t'A SATA drive'
usb\t'A USB drive'
sd\t'An SD card; its size is a power of two'
cdrom\t'A CD in a SATA drive'"
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -s o -l output -d 'Keep the twin in this file' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -l json -d 'Print one JSON object: `ok`, the plan, and the list `checks`'
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand rehearse" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and not __fish_seen_subcommand_from add" -s o -l output -d 'Where the medium goes' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand medium; and not __fish_seen_subcommand_from add" -l firmware -d 'Firmware for what computers have, on the medium and on what it installs' -r -f -a "none\t'None'
network\t'Processors, and network cards with and without wires'
all\t'Graphics as well'"
complete -c cairn -n "__fish_cairn_using_subcommand medium; and not __fish_seen_subcommand_from add" -l json -d 'Print one JSON object'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and not __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and not __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and not __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and not __fish_seen_subcommand_from add" -a "add" -d 'Put answers and keys onto a medium that is there, in a file or on a stick'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -l config -d 'A machine file with `install:`, which is then installed without a question' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -l key -d 'A public SSH key, or a file of them: with it one logs in as root while the medium runs' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -l wifi -d 'The name of a wireless network, which the medium joins when it starts. Its passphrase is asked for, unless it is in a file' -r
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -l passphrase-file -d 'A file with one line, the passphrase of that network; an empty one for a network that anybody may join' -r -F
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -l json -d 'Print one JSON object'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c cairn -n "__fish_cairn_using_subcommand medium; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand schema" -l hardware -d 'The schema of hardware files instead'
complete -c cairn -n "__fish_cairn_using_subcommand schema" -l install -d 'The schema of install files instead'
complete -c cairn -n "__fish_cairn_using_subcommand schema" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand schema" -s h -l help -d 'Print help'
complete -c cairn -n "__fish_cairn_using_subcommand schema" -s V -l version -d 'Print version'
complete -c cairn -n "__fish_cairn_using_subcommand generate-docs" -s q -l quiet -d 'Say nothing but errors'
complete -c cairn -n "__fish_cairn_using_subcommand generate-docs" -s h -l help -d 'Print help'
complete -c cairn -n "__fish_cairn_using_subcommand generate-docs" -s V -l version -d 'Print version'

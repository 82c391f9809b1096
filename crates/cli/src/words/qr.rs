//! A QR code (ISO/IEC 18004) in characters, for a dark screen: what is light is drawn.
//!
//! With half blocks two of its dots are above one another in a character, and a dot is as high as wide. The fonts that Debian gives the
//! kernel's console (Lat15-Fixed16 and its like) have the full block of all these, and none of the half ones: there a dot is two characters.

use qrcode::types::Color;
use qrcode::{EcLevel, QrCode};

/// The light edge around it: as the standard wants it, and as narrow as readers can do with.
const EDGE: usize = 4;
const NARROW: usize = 1;

/// Of several texts, the longest first, the first whose code fits into so many columns and rows; as lines.
pub fn drawn(texts: &[String], halves: bool, columns: usize, rows: usize) -> Option<Vec<String>> {
    texts.iter().find_map(|text| [EDGE, NARROW].into_iter().find_map(|edge| one(text, halves, edge, columns, rows)))
}

fn one(text: &str, halves: bool, edge: usize, columns: usize, rows: usize) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, dots) = (code.width(), code.to_colors());
    let side = width + 2 * edge;
    let fits = if halves { side <= columns && side.div_ceil(2) <= rows } else { 2 * side <= columns && side <= rows };
    if !fits {
        return None;
    }
    let light = |x: usize, y: usize| {
        let at = |n: usize| n.checked_sub(edge).filter(|n| *n < width);
        // Below the last of an odd number of rows there is the screen.
        y < side && at(x).zip(at(y)).is_none_or(|(x, y)| dots[y * width + x] == Color::Light)
    };
    let rows = (0..side).step_by(if halves { 2 } else { 1 });
    Some(
        rows.map(|y| {
            (0..side)
                .map(|x| match (light(x, y), light(x, y + 1)) {
                    (true, _) if !halves => "██",
                    (false, _) if !halves => "  ",
                    (true, true) => "█",
                    (true, false) => "▀",
                    (false, true) => "▄",
                    (false, false) => " ",
                })
                .collect()
        })
        .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use cairn_process::{Tool, ToolError};

    use super::*;

    const LONG: &str = "CAIRN ACDE-FHJK 0.1.0: MAKING ROOT AS LARGE AS: RESIZE EXIT 1: UEFI NVME 512";
    const SHORT: &str = "CAIRN 0.1.0 ACDE-FHJK";

    /// What another program reads, when it is given a picture of the characters on a dark screen, as a camera would: `None` where it is
    /// not installed.
    fn read(lines: &[String]) -> Option<String> {
        // A character is 8 dots wide and 16 high.
        let (width, height) = (lines.iter().map(|line| line.chars().count()).max().unwrap_or(0), lines.len());
        let mut picture = format!("P5 {} {} 255\n", width * 8 + 64, height * 16 + 64).into_bytes();
        let grid: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
        for y in 0..height * 16 + 64 {
            for x in 0..width * 8 + 64 {
                let cell = y.checked_sub(32).zip(x.checked_sub(32)).and_then(|(y, x)| grid.get(y / 16)?.get(x / 8));
                let upper = y % 16 < 8;
                let light = matches!((cell, upper), (Some('█'), _) | (Some('▀'), true) | (Some('▄'), false));
                picture.push(if light { 200 } else { 10 });
            }
        }
        let mut file = tempfile::Builder::new().suffix(".pgm").tempfile().unwrap();
        file.write_all(&picture).unwrap();
        let tool = Tool::new("zbarimg", "zbar-tools", "read QR codes").args([
            "--quiet",
            "--raw",
            "-Sdisable",
            "-Sqrcode.enable",
        ]);
        match tool.arg(file.path()).output() {
            Ok(said) => Some(String::from_utf8_lossy(&said).trim_end().to_string()),
            Err(missing @ ToolError::Missing { .. }) => {
                cairn_testkit::skip(missing);
                None
            }
            Err(error) => panic!("{error}\n{}", lines.join("\n")),
        }
    }

    #[test]
    fn another_program_reads_it_in_each_of_its_forms() {
        let texts = [LONG.to_string(), SHORT.to_string()];
        for (halves, columns, rows, expected) in [
            (true, 39, 22, LONG),
            (false, 100, 60, LONG),
            (false, 79, 23, SHORT),
            (true, 33, 24, LONG),
            (true, 23, 24, SHORT),
        ] {
            let lines = drawn(&texts, halves, columns, rows).unwrap();
            assert!(lines.len() <= rows && lines.iter().all(|line| line.chars().count() <= columns), "{lines:#?}");
            if let Some(said) = read(&lines) {
                assert_eq!(said, expected, "{halves} {columns} {rows}\n{}", lines.join("\n"));
            }
        }
    }

    #[test]
    fn where_there_is_no_room_there_is_none() {
        assert_eq!(drawn(&[SHORT.into()], false, 40, 24), None);
        assert_eq!(drawn(&[SHORT.into()], true, 22, 24), None);
        assert_eq!(drawn(&[], true, 80, 24), None);
    }
}

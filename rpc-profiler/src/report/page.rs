//! The page around the data: one file with style, script and data in it.

use std::io::{self, Write};

use serde::Serialize;

const TEMPLATE: &str = include_str!("report.html");

/// What the template has in place of a file, and the file. The order is that of the template.
const FILES: [(&str, &str); 5] = [
    ("{{report.css}}", include_str!("report.css")),
    ("{{common.js}}", include_str!("common.js")),
    ("{{tables.js}}", include_str!("tables.js")),
    ("{{timeline.js}}", include_str!("timeline.js")),
    ("{{report.js}}", include_str!("report.js")),
];

/// And what it has in place of the data, which comes after the style.
const DATA: &str = "{{data}}";

/// Writes the page that shows `data`.
pub(super) fn write(data: &impl Serialize, mut into: impl Write) -> io::Result<()> {
    let mut rest = TEMPLATE;
    for (place, file) in FILES {
        let (before, after) = rest.split_once(place).unwrap_or((rest, ""));
        match before.split_once(DATA) {
            Some((before, between)) => {
                into.write_all(before.as_bytes())?;
                serde_json::to_writer(Escaped(&mut into), data)?;
                into.write_all(between.as_bytes())?;
            }
            None => into.write_all(before.as_bytes())?,
        }
        into.write_all(file.as_bytes())?;
        rest = after;
    }
    into.write_all(rest.as_bytes())?;
    into.flush()
}

/// JSON that nothing inside of HTML takes for a tag: `<` is `\u003c`. JSON has that character in strings only, where the two mean
/// the same.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pieces = bytes.split(|byte| *byte == b'<');
        self.0.write_all(pieces.next().unwrap_or_default())?;
        for piece in pieces {
            self.0.write_all(br"\u003c")?;
            self.0.write_all(piece)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(data: &str) -> String {
        let mut page = Vec::new();
        write(&data, &mut page).unwrap();
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn a_page_has_all_of_its_parts_once() {
        let page = page("the data");
        assert!(!page.contains("{{"), "a place was left empty");
        for part in FILES.map(|(_, file)| file).into_iter().chain(["\"the data\"", "</html>"]) {
            assert_eq!(page.matches(part).count(), 1, "{}", &part[..part.len().min(60)]);
        }
    }

    #[test]
    fn data_cannot_leave_its_element() {
        let hostile = "</script><img src=x onerror=alert(1)><!--<script>";
        let page = page(hostile);
        let data = r#""\u003c/script>\u003cimg src=x onerror=alert(1)>\u003c!--\u003cscript>""#;
        assert!(page.contains(data) && !page.contains("<img"));
        assert_eq!(serde_json::from_str::<String>(data).unwrap(), hostile);
    }

    #[test]
    fn a_page_refers_to_nothing_outside() {
        let page = page("").replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "@import", "url(", "fetch(", "import("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

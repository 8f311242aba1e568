//! All that is made of a profile, as files of a directory.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::model::Profile;
use crate::summary::GroupBy;

impl Profile {
    /// Writes into `directory`, which is made if it is not there:
    ///
    /// | file | what |
    /// |---|---|
    /// | `table.txt` | the [averages](Self::key_averages) by function, then by key |
    /// | `trace.json` | a [timeline](Self::write_chrome_trace) for <https://ui.perfetto.dev> and chrome://tracing |
    /// | `report.html` | a [page](Self::write_report) to open in a browser |
    /// | `profile.json` | the profile [itself](Self::write_json), for one's own tools |
    ///
    /// Files of these names are replaced. Blocks on the disk.
    ///
    /// # Errors
    /// Those of the file system, with the name of the file. What was written before stays.
    pub fn save(&self, directory: impl AsRef<Path>) -> io::Result<()> {
        let directory = directory.as_ref();
        fs::create_dir_all(directory).map_err(|error| named(directory, &error))?;
        let table = |out: &mut BufWriter<File>| {
            let by_function = self.key_averages().group_by(GroupBy::Function).table();
            writeln!(out, "{by_function}\n{}", self.key_averages().table())
        };
        write_file(&directory.join("table.txt"), table)?;
        write_file(&directory.join("trace.json"), |out| self.write_chrome_trace(out))?;
        write_file(&directory.join("report.html"), |out| self.write_report(out))?;
        write_file(&directory.join("profile.json"), |out| self.write_json(out))
    }
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use crate::model::Tick;

    use super::*;

    fn empty() -> Profile {
        Profile::new(0, Tick::from_unix_ns(1), Tick::from_unix_ns(2))
    }

    #[test]
    fn all_files_are_there_and_none_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a").join("b");
        empty().save(&inner).unwrap();
        for name in ["table.txt", "trace.json", "report.html", "profile.json"] {
            assert!(fs::metadata(inner.join(name)).unwrap().len() > 0, "{name}");
        }
    }

    #[test]
    fn an_error_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("trace.json")).unwrap();
        let error = empty().save(directory.path()).unwrap_err().to_string();
        assert!(error.contains("trace.json: "), "{error}");
    }
}

//! [`show`]: the document that a browser without a screen makes of a report.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rpc_profiler::Profile;

/// How long one run of the browser may take. On a machine with nothing else to do it takes a second.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs of the browser, which may itself fail on a machine that is out of breath.
const ATTEMPTS: usize = 3;

/// Shows the report of `profile` at `fragment`, and returns the document when its script is done. `None`, with a word about it, if
/// there is no browser here, or one that cannot even show an empty page.
pub(crate) fn show(profile: &Profile, fragment: &str) -> Option<Dom> {
    show_page(profile, fragment, WIDTH, "")
}

/// What `steps` return, a script that runs in the page of `profile` when the page's own is done, in a window of that width.
/// `None` as with [`show`].
pub(crate) fn drive(profile: &Profile, width: u32, steps: &str) -> Option<serde_json::Value> {
    let dom = show_page(profile, "", width, &DRIVER.replace("{{steps}}", steps))?;
    let root = |attribute: &str| dom.get("<html", attribute);
    assert_eq!(root("data-error"), None, "a script failed");
    let told = root("data-told").expect("the steps have come to their end");
    Some(serde_json::from_str(&told).expect("what the steps return is told as JSON"))
}

/// Of the window, if nothing else is said.
const WIDTH: u32 = 1280;

/// What stands around the steps of a test. The page lets in what has its nonce. Pointers that nobody holds cannot be captured.
const DRIVER: &str = r#"<script nonce="report">
Element.prototype.setPointerCapture = () => {};
document.documentElement.dataset.told = JSON.stringify((() => {
{{steps}}
})());
</script>
</body>"#;

/// As [`show`], with `script` behind those of the page.
fn show_page(profile: &Profile, fragment: &str, width: u32, script: &str) -> Option<Dom> {
    let Some(browser) = find() else {
        eprintln!("SKIPPED: neither `CHROMIUM` nor the path has a browser, so nothing was checked");
        return None;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let page = dir.path().join("report.html");
    let mut text = Vec::new();
    profile.write_report(&mut text).expect("the page is written");
    let text = String::from_utf8(text).expect("it is text");
    let (before, after) = text.rsplit_once("</body>").expect("it has a body");
    let end = if script.is_empty() { "</body>" } else { script };
    fs::write(&page, [before, end, after].concat()).expect("the page is written");
    let address = format!("file://{}{fragment}", page.display());

    let mut failures = Vec::new();
    for _ in 0..ATTEMPTS {
        match dump(&browser, &address, width) {
            Ok(text) => return Some(Dom(text)),
            Err(failure) => failures.push(failure),
        }
    }
    if let Err(failure) = dump(&browser, "about:blank", width) {
        eprintln!("SKIPPED: {} does not run here, so nothing was checked: {failure}", browser.display());
        return None;
    }
    panic!("{} shows other pages, but not this one: {failures:?}", browser.display());
}

fn find() -> Option<PathBuf> {
    if let Some(browser) = std::env::var_os("CHROMIUM") {
        return Some(browser.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let all = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    { all }.find(|file| file.is_file())
}

/// What the browser writes of the document at `address`, from its own new profile directory.
fn dump(browser: &Path, address: &str, width: u32) -> Result<String, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let [out, log] = ["out", "log"].map(|name| dir.path().join(name));
    let mut user = OsString::from("--user-data-dir=");
    user.push(dir.path().join("user"));
    let run = || {
        let mut child = Command::new(browser)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-quic",
            ])
            .args(["--disable-extensions", "--virtual-time-budget=5000", "--dump-dom"])
            .arg(format!("--window-size={width},900"))
            .args([user.as_os_str(), address.as_ref()])
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&log)?)
            .spawn()?;
        wait(&mut child)
    };
    let status = run().map_err(|error| error.to_string())?;
    let text = fs::read_to_string(&out).unwrap_or_default();
    let Some(status) = status else { return Err(format!("no end within {LIMIT:?}")) };
    if !status.success() || !text.contains("</html>") {
        let log = fs::read_to_string(&log).unwrap_or_default();
        return Err(format!("{status}, {} bytes of document: {log}", text.len()));
    }
    Ok(text)
}

/// Waits until `child` ends; ends it, with `None`, if that takes too long.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(10));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// A document, or a part of it, as text. Elements are found by what their tags have in them.
pub(crate) struct Dom(String);

impl Dom {
    /// The value of `attribute` in the first tag that has `needle` in it.
    pub(crate) fn get(&self, needle: &str, attribute: &str) -> Option<String> {
        self.tags(needle).next().and_then(|tag| value(tag, attribute))
    }

    /// The same, which has to be there and to be a number.
    pub(crate) fn number(&self, needle: &str, attribute: &str) -> u64 {
        let text = self.get(needle, attribute);
        let number = text.as_ref().and_then(|text| text.parse().ok());
        number.unwrap_or_else(|| panic!("{attribute} of the element with {needle} is {text:?}"))
    }

    /// The values of `attribute` in all tags that have `needle` in them.
    pub(crate) fn all(&self, needle: &str, attribute: &str) -> Vec<String> {
        self.tags(needle).filter_map(|tag| value(tag, attribute)).collect()
    }

    /// How many tags have `needle` in them.
    pub(crate) fn count(&self, needle: &str) -> usize {
        self.tags(needle).count()
    }

    /// The row of a table whose tag has `needle` in it.
    pub(crate) fn row(&self, needle: &str) -> Self {
        let mut tags = self.0.match_indices("<tr ");
        let row = tags.find_map(|(at, _)| {
            let row = self.0[at..].split_inclusive("</tr>").next()?;
            Tags(row).next()?.contains(needle).then(|| row.to_owned())
        });
        Self(row.unwrap_or_default())
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn tags<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = &'a str> {
        Tags(&self.0).filter(move |tag| tag.contains(needle))
    }
}

/// The tags of a document up to its first script: from `<` to the `>` that is not in an attribute.
struct Tags<'a>(&'a str);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let tag = &self.0[self.0.find('<')?..];
        let mut is_quoted = false;
        let end = tag.find(|letter| {
            is_quoted ^= letter == '"';
            letter == '>' && !is_quoted
        })?;
        let (tag, rest) = tag.split_at(end + 1);
        self.0 = rest;
        (!tag.starts_with("<script")).then_some(tag)
    }
}

/// What an attribute says. Some browsers write `<` and `>` as they are.
fn value(tag: &str, attribute: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {attribute}=\""))?;
    let value = rest.split('"').next()?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |value, (entity, letter)| value.replace(entity, letter)))
}

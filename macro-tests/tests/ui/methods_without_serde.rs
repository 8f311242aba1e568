//! Types that cannot travel: an argument and a result.

struct File {
    path: String,
}

struct Mode(u32);

#[rpc::methods]
impl File {
    fn set_mode(&mut self, mode: Mode) {
        drop(mode.0);
    }

    fn mode(&self) -> Mode {
        Mode(self.path.len() as u32)
    }
}

fn main() {}

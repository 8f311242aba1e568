//! Arguments and results that borrow, or that have no name.

struct Names(Vec<String>);

#[rpc::methods]
impl Names {
    fn push(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn first(&self) -> Option<&String> {
        self.0.first()
    }

    fn all(&self) -> &[String] {
        &self.0
    }

    fn iter(&self) -> impl Iterator<Item = String> {
        self.0.clone().into_iter()
    }

    fn wait(&self) -> ! {
        loop {}
    }
}

fn main() {}

//! Writes the client and the server of tonic's service.

use tonic_build::manual::{Builder, Method, Service};

const MESSAGES: &str = "crate::systems::tonic::messages::";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let method = |name: &str, route: &str, input: &str, output: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type(format!("{MESSAGES}{input}"))
            .output_type(format!("{MESSAGES}{output}"))
            .codec_path("tonic_prost::ProstCodec")
            .build()
    };
    let service = Service::builder()
        .name("Service")
        .package("bench")
        .method(method("echo", "Echo", "Blob", "Blob"))
        .method(method("upload", "Upload", "Blob", "Length"))
        .method(method("download", "Download", "Length", "Blob"))
        .build();
    Builder::new().compile(&[service]);
}

//! Signatures of images as cosign keeps them: an image beside the image, tagged by its digest (cosign, `specs/SIGNATURE_SPEC.md`).
//!
//! The factory serves an installer that lies in its registry only if its own key has signed it.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry::{Digest, Image, Progress, Registries, Repository};
use serde_json::json;

use crate::layout::Layout;

/// A factory's key.
#[derive(Debug)]
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"))
    }

    /// The key as a file that the factory reads.
    pub(crate) fn pem(&self) -> String {
        let der = self.0.to_pkcs8v1().expect("a key can be written");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
            .collect();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        )
    }

    /// Signs what `digest` names in `repository`: puts the signature beside it.
    pub(crate) async fn sign(
        &self,
        registries: &Registries,
        repository: &Repository,
        digest: Digest,
    ) {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": repository.to_string()},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        })
        .to_string();
        let signature = self
            .0
            .sign(&SystemRandom::new(), payload.as_bytes())
            .expect("signing works");
        let directory = tempfile::tempdir().expect("a directory");
        let layout = Layout::new(directory.path());
        let media_type = "application/vnd.dev.cosign.simplesigning.v1+json";
        let mut layer = layout.blob(media_type, payload.as_bytes());
        layer["annotations"] = json!({
            "dev.cosignproject.cosign/signature": STANDARD.encode(signature.as_ref()),
        });
        let configuration = json!({
            "architecture": "", "os": "", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        });
        let manifest = layout.manifest(configuration.to_string().as_bytes(), &[layer]);
        layout.finish(&[manifest]);
        let image = Image::open(directory.path()).await.expect("our own layout");
        let tag = format!("sha256-{}.sig", digest.hex());
        let tag = repository.tagged(&tag).expect("hex digits fit a tag");
        registries
            .push(&image, &tag, true, &Progress::silent())
            .await
            .expect("the registry takes it");
    }
}

//! The imager's profile: the one form in which it takes images from directories of the build host.

use serde_json::{Map, Value, json};

use super::{ImagerInputs, ImagerOutput};

/// Before the path of a directory in the OCI image layout, in the place of a reference.
pub(in crate::talos_artifact) const LAYOUT: &str = "oci:";

/// Where the builder sees layouts, each under its name.
const MOUNT: &str = "/layouts";

/// A directory of the build host in the OCI image layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagerLayout {
    /// `[a-z0-9-]`: the builder sees it as `/layouts/NAME`.
    pub name: String,
    /// Absolute path on the build host.
    pub path: String,
}

/// Why a text names no layout, as a sentence; `None` if it does not begin as one, or is right.
pub(in crate::talos_artifact) fn layout_fault(image: &str) -> Option<String> {
    let path = image.strip_prefix(LAYOUT)?;
    let is_plain = path.starts_with('/')
        && !path.contains([':', ',', '\0'])
        && !path.split('/').any(|part| part == "..");
    (!is_plain).then(|| {
        "After oci: stands the absolute path of a directory on the build host, without \"..\", colon \
         and comma."
            .to_owned()
    })
}

impl ImagerInputs {
    /// Layouts that one run reads.
    pub(super) fn layouts(&self, output: ImagerOutput) -> Vec<ImagerLayout> {
        let images = self.named_images(output).into_iter();
        images
            .filter_map(|(name, image)| {
                let path = image.strip_prefix(LAYOUT)?.to_owned();
                Some(ImagerLayout { name, path })
            })
            .collect()
    }

    /// Images that one run reads, and how they are called as layouts.
    fn named_images(&self, output: ImagerOutput) -> Vec<(String, &str)> {
        let mut images = Vec::new();
        if output == ImagerOutput::Installer {
            images.push(("base-installer".to_owned(), self.base_installer.as_str()));
        }
        for (index, image) in self.extension_images.iter().enumerate() {
            images.push((format!("extension-{index}"), image));
        }
        if let Some(overlay) = &self.overlay {
            images.push(("overlay".to_owned(), &overlay.image));
        }
        images
    }

    /// The same as the flags say, as a profile (`pkg/imager/profile` of Talos): what is not in it is
    /// the base profile's. JSON is YAML.
    pub(super) fn profile(&self, output: ImagerOutput, platform: &str) -> String {
        let assets: Vec<(String, Value)> = self
            .named_images(output)
            .into_iter()
            .map(|(name, image)| {
                let asset = if image.starts_with(LAYOUT) {
                    json!({"ociPath": format!("{MOUNT}/{name}")})
                } else {
                    json!({"imageRef": image})
                };
                (name, asset)
            })
            .collect();
        let asset = |wanted: &str| {
            let found = assets.iter().find(|(name, _)| name == wanted);
            found.map(|(_, asset)| asset.clone())
        };
        let extensions: Vec<&Value> = assets
            .iter()
            .filter(|(name, _)| name.starts_with("extension-"))
            .map(|(_, asset)| asset)
            .collect();
        let mut input = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                input.insert(name.to_owned(), value);
            }
        };
        set("baseInstaller", asset("base-installer"));
        set("overlayInstaller", asset("overlay"));
        set(
            "systemExtensions",
            (!extensions.is_empty()).then(|| json!(extensions)),
        );
        let mut customization = Map::new();
        if self.passes_kernel_args(output) && !self.kernel_args.is_empty() {
            customization.insert("extraKernelArgs".to_owned(), json!(self.kernel_args));
        }
        if output != ImagerOutput::Installer && !self.meta.is_empty() {
            let meta = self.meta.iter();
            let meta: Vec<Value> = meta
                .map(|(key, value)| json!({"key": key, "value": value}))
                .collect();
            customization.insert("metaContents".to_owned(), json!(meta));
        }
        let mut profile = json!({
            "baseProfileName": self.base_profile(output, platform),
            "arch": self.architecture.as_str(),
            "platform": platform,
            "customization": customization,
            "input": input,
        });
        if let (Some(overlay), Some(image)) = (&self.overlay, asset("overlay")) {
            let options: Map<String, Value> = overlay
                .options
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            profile["overlay"] = json!({"name": overlay.name, "image": image});
            if !options.is_empty() {
                profile["overlay"]["options"] = Value::Object(options);
            }
        }
        profile.to_string()
    }
}

//! Its schemas.

use tests::{
    Outcome,
    client::{Trust, identity_type, problems},
};
use tf_plugin::tfplugin5 as wire;

use crate::provider::start;

#[tokio::test]
async fn core_takes_its_schemas_and_they_never_change() -> Outcome {
    let (one, other) = (
        start(Trust::Mutual)?.plugin().await?,
        start(Trust::Mutual)?.plugin().await?,
    );
    let schemas = one.schemas().await?;
    assert_eq!(problems(&schemas), Vec::<String>::new());
    assert_eq!(other.schemas().await?, schemas);
    assert!(schemas.diagnostics.is_empty());
    let capabilities = schemas.server_capabilities.ok_or("capabilities are told")?;
    assert!(capabilities.plan_destroy && capabilities.get_provider_schema_optional);
    assert!(capabilities.move_resource_state);
    let schemas_size = prost_size(&schemas);
    assert!(
        schemas_size < 64 << 20,
        "Core takes schemas up to 64 MiB: {schemas_size}"
    );
    one.shutdown().await?;
    other.shutdown().await?;
    Ok(())
}

fn prost_size(schemas: &wire::get_provider_schema::Response) -> usize {
    use prost::Message;
    schemas.encoded_len()
}

#[tokio::test]
async fn an_identity_is_of_a_resource_and_all_text() -> Outcome {
    let plugin = start(Trust::Mutual)?.plugin().await?;
    let schemas = plugin.schemas().await?;
    let request = wire::get_resource_identity_schemas::Request {};
    let identities = plugin
        .calls()?
        .get_resource_identity_schemas(request)
        .await?
        .into_inner();
    assert!(!identities.identity_schemas.is_empty());
    for (name, identity) in &identities.identity_schemas {
        assert!(schemas.resource_schemas.contains_key(name), "{name}");
        identity_type(identity)?;
        for attribute in &identity.identity_attributes {
            assert!(
                attribute.required_for_import != attribute.optional_for_import,
                "{name}"
            );
        }
    }
    plugin.shutdown().await?;
    Ok(())
}

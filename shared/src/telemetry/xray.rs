//! The trace header of AWS X-Ray, `Root=…;Parent=…;Sampled=…`:
//! <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>.

/// Returns the first header with a valid trace id. Lambda's own header takes precedence over the one of the request,
/// which a client can forge.
pub(crate) fn select<'a>(lambda: Option<&'a str>, request: Option<&'a str>) -> Option<&'a str> {
    [lambda, request].into_iter().flatten().find(|header| trace_id(header).is_some())
}

/// Returns the trace id in the form that X-Ray's search expects, for example `1-5759e988-bd862e3fe1be46a994272793`. A
/// malformed one is rejected because the id is logged.
pub(crate) fn trace_id(header: &str) -> Option<&str> {
    let root = member(header, "Root")?;
    let (time, rest) = root.strip_prefix("1-")?.split_once('-')?;
    (is_hex(time, 8) && is_hex(rest, 24)).then_some(root)
}

/// Returns the value of a member of the header.
pub(super) fn member<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut members = header.split(';').filter_map(|member| member.trim().split_once('='));
    members.find_map(|(other, value)| (other == name).then_some(value))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_trace_id_from_root() {
        const ID: &str = "1-5759e988-bd862e3fe1be46a994272793";
        for header in [
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "Self=1-67891234-12456789abcdef012345678; Root=1-5759e988-bd862e3fe1be46a994272793; Lineage=a:0",
        ] {
            assert_eq!(trace_id(header), Some(ID), "{header}");
        }
    }

    #[test]
    fn rejects_a_malformed_trace_id() {
        for header in [
            "",
            "1-5759e988-bd862e3fe1be46a994272793",
            "Root=",
            "Root=1-5759e988-bd862e3fe1be46a99427279",
            "Root=1-5759e988-bd862e3fe1be46a99427279x",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Parent=1-5759e988-bd862e3fe1be46a994272793",
        ] {
            assert_eq!(trace_id(header), None, "{header}");
        }
    }
}

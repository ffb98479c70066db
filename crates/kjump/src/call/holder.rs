//! Which other image has allocated an address, where an image cannot have it for that reason.

use abi::device::{ImageInfo, reason};
use abi::page_list::PAGE_SIZE;
use sys::{Device, ImageName, Refusal};

/// The image that has allocated the page at this address.
pub(super) fn find(device: &Device, address: u64) -> Result<Option<ImageInfo>, Refusal> {
    for image in device.images()? {
        let covers = device.ranges(image.id)?.iter().any(|range| (range.start..range.end).contains(&address));
        if covers && (image.claimed == image.pages || has_allocated(device, image.id, address)?) {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// Pages that the image has allocated wait at their destination.
fn has_allocated(device: &Device, id: u64, address: u64) -> Result<bool, Refusal> {
    let covers = |destination: u64, pages: u64| {
        address.checked_sub(destination).is_some_and(|within| within / PAGE_SIZE < pages)
    };
    let runs = device.slots(id)?;
    Ok(runs.iter().any(|run| run.destination == run.source && covers(run.destination, run.pages)))
}

/// How the image is called in messages, and how to get its memory.
pub(super) fn describe(image: &ImageInfo) -> (String, String) {
    match ImageName::from_words(image.name) {
        Some(name) => {
            (format!("image {name}"), format!("unload it (`kjump unload {name}`), or call it by its name"))
        }
        None => {
            let id = image.id;
            (format!("image {id}, of process {}", image.loader), "wait until it is unloaded".into())
        }
    }
}

/// The error of a refused call, if it was refused because of a page that another image uses.
pub(super) fn explain(device: &Device, refusal: &Refusal) -> Option<anyhow::Error> {
    let [first, count, pages, ..] = refusal.diagnosis.numbers;
    if refusal.diagnosis.reason != reason::PAGE_IN_USE {
        return None;
    }
    let (holder, advice) = describe(&find(device, first).ok()??);
    Some(anyhow::anyhow!(
        "{holder} has {first:#x}, the first of {count} pages in use, of the image's {pages}; {advice}, or \
         quiesce with `suspend`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_image_is_called_by_its_name() {
        let name: ImageName = "a".parse().unwrap();
        let kept = ImageInfo { id: 3, name: name.words(), loader: 70, ..ImageInfo::default() };
        assert_eq!(describe(&kept).0, "image a");
        assert_eq!(describe(&kept).1, "unload it (`kjump unload a`), or call it by its name");
        assert_eq!(describe(&ImageInfo { name: [0; 4], ..kept }).0, "image 3, of process 70");
    }
}

from ktg.data import Dataset, merge, open_data
from ktg.graph import Data


def pixels(images):
    return {image.tobytes() for image in images.read(range(len(images)))}


def test_merge_is_train_then_val(make):
    data = open_data(Data(path=str(make({"a": 10, "b": 20}))))
    both = merge(data)
    assert isinstance(data, Dataset)
    assert pixels(both) == pixels(data.train) | pixels(data.val)
    assert both.labels.tolist() == data.train.labels.tolist() + data.val.labels.tolist()

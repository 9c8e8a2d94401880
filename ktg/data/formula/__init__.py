"""Where pretrained weights come from besides a download: pictures drawn by a formula, to pretrain on."""

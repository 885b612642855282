"""Fine-tuned models as inference artefacts: exporting them, and answering with them."""

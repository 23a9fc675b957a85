"""ONNX files in QDQ form, as onnxruntime's static quantiser writes them: read into a `Network`, held against onnxruntime."""

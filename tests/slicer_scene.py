"""What a person does in 3D Slicer, in its libraries: load results, save the scene, load it again, correct, save.

``python slicer_scene.py RESULTS.json``, with a Python that has slicer-core. The file names ``scan``, ``mask``,
``markups`` and the folders ``out`` and ``reviewed``, and says which points to ``delete`` (label), to ``move`` (label,
position) and to ``add`` (position), in RAS mm. Writes ``out/scene.json`` with what was in the scene when it was made,
and when it was loaded again.
"""

import json
import sys
import zipfile
from pathlib import Path

import slicer
import vtk


class Scene:
    """A MRML scene with the parts of 3D Slicer that load scans, segmentations and markups."""

    def __init__(self):
        self.scene = slicer.vtkMRMLScene()
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        self.application.SetModuleLogic("Colors", self.application.GetColorLogic())
        self.application.GetColorLogic().SetMRMLScene(self.scene)
        self.application.GetColorLogic().AddDefaultColorNodes()
        self.volumes = self._logic(slicer.vtkSlicerVolumesLogic())
        self.markups = self._logic(slicer.vtkSlicerMarkupsLogic())
        self.segmentations = self._logic(slicer.vtkSlicerSegmentationsModuleLogic())

    def _logic(self, logic):
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.scene)
        return logic

    def load(self, scan, mask, markups):
        """Load as the dialog 'Add data' does, the mask as a segmentation."""
        assert self.volumes.AddArchetypeVolume(scan, Path(scan).name.split(".")[0])
        segmentation = self.segmentations.LoadSegmentationFromFile(mask)
        segmentation.SetName(Path(mask).name.split(".")[0])
        assert self.markups.LoadMarkups(markups, "markups")

    def save(self, path):
        """Save all in a file, ``.mrb``."""
        self.scene.SetURL(str(path))
        self.scene.SetRootDirectory(str(path.parent))
        assert self.scene.WriteToMRB(str(path))

    def open(self, path):
        """Load what was saved."""
        folder = path.with_suffix("")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        (file,) = folder.rglob("*.mrml")
        self.scene.SetURL(str(file))
        assert self.scene.Connect()

    def node(self, kind):
        """Return the only node of a kind."""
        assert self.scene.GetNumberOfNodesByClass(kind) == 1
        return self.scene.GetFirstNodeByClass(kind)

    @property
    def points(self):
        """The list of points."""
        return self.node("vtkMRMLMarkupsFiducialNode")

    def describe(self):
        """Return what a reader sees: the points and segments, in RAS mm, and the grid of the scan."""
        volume, points = self.node("vtkMRMLScalarVolumeNode"), self.points
        to_ras = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(to_ras)
        node = self.node("vtkMRMLSegmentationNode")
        segmentation = node.GetSegmentation()
        return {
            "shape": volume.GetImageData().GetDimensions(),
            "affine": [[to_ras.GetElement(row, column) for column in range(4)] for row in range(4)],
            "list": points.GetName(),
            "shown": bool(points.GetDisplayNode().GetVisibility()),
            "points": [
                {
                    "label": points.GetNthControlPointLabel(n),
                    "description": points.GetNthControlPointDescription(n),
                    "position": [points.GetNthControlPointPositionWorld(n)[axis] for axis in range(3)],
                }
                for n in range(points.GetNumberOfControlPoints())
            ],
            "segments": {
                segmentation.GetNthSegment(n).GetLabelValue(): node.GetSegmentCenterRAS(segmentation.GetNthSegmentID(n))
                for n in range(segmentation.GetNumberOfSegments())
            },
        }

    def correct(self, delete, move, add):
        """Change points as a person does: by their labels."""
        points = self.points
        points.RemoveNthControlPoint(points.GetControlPointIndexByLabel(delete))
        points.SetNthControlPointPositionWorld(points.GetControlPointIndexByLabel(move[0]), *move[1])
        points.AddControlPointWorld(vtk.vtkVector3d(*add))

    def save_points(self, path):
        """Save the list of points as the dialog 'Save' does."""
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = slicer.vtkMRMLMarkupsJsonStorageNode()
        storage.SetFileName(str(path))
        assert storage.WriteData(self.points)

    def export_mask(self, folder, delete):
        """Export the segmentation without one segment, as 'Export to files' does, with the scan as reference."""
        folder.mkdir(parents=True, exist_ok=True)
        node = self.node("vtkMRMLSegmentationNode")
        segmentation, kept = node.GetSegmentation(), vtk.vtkStringArray()
        for n in range(segmentation.GetNumberOfSegments()):
            if segmentation.GetNthSegment(n).GetLabelValue() != delete:
                kept.InsertNextValue(segmentation.GetNthSegmentID(n))
        export = self.segmentations.ExportSegmentsBinaryLabelmapRepresentationToFiles
        assert export(str(folder), node, kept, "nii.gz", True, self.node("vtkMRMLScalarVolumeNode"))


def main(path):
    """Do what the file says."""
    task = json.loads(Path(path).read_text())
    out, reviewed = Path(task["out"]), Path(task["reviewed"])
    scene, again = Scene(), Scene()
    scene.load(task["scan"], task["mask"], task["markups"])
    scene.save(out / "scene.mrb")
    again.open(out / "scene.mrb")
    seen = {"made": scene.describe(), "loaded": again.describe()}
    again.correct(task["delete"], task["move"], task["add"])
    again.save_points(reviewed / "points" / Path(task["markups"]).name)
    again.export_mask(reviewed / "mask", int(task["delete"]))
    (out / "scene.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])

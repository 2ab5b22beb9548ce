import "uplot/dist/uPlot.min.css";
import "./fonts.css";
import "./base.css";
import "./list.css";
import "./report.css";
import "./charts.css";
import "./operations.css";
import "./print.css";
